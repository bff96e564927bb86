import type { Messages, MessageType } from '../kafka/messages.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { currentTrace } from '../runtime/tracing.ts';
import { ADVISORY_LOCKS } from './advisory-locks.ts';

/** A message that must reach Kafka if the same transaction commits. */
export type OutboxEntry = {
  [T in MessageType]: {
    readonly topic: 'commands' | 'jobs';
    readonly key: string;
    readonly type: T;
    readonly payload: Messages[T];
  };
}[MessageType];

/** Adds messages, given as JSON, in their order: the end of a statement that writes what they are about. */
export const enqueueSql = (entries: string, traceparent: string) => `
insert into outbox (topic, key, type, payload, traceparent)
select e->>'topic', e->>'key', e->>'type', e->'payload', ${traceparent}
from jsonb_array_elements(${entries}::jsonb) with ordinality as t (e, place)
order by place`;

/**
 * Adds messages to the outbox, in this order and with the current trace. Call it in the transaction that the messages
 * are about.
 */
export async function enqueueOutbox(db: Queryable, entries: readonly OutboxEntry[]): Promise<void> {
  await db.query({
    name: 'enqueue_outbox',
    text: enqueueSql('$1', '$2'),
    values: [JSON.stringify(entries), currentTrace()?.traceparent ?? null],
  });
}

/** Whether no message waits for the relay. Called often, so it is one small statement. */
export async function isOutboxEmpty(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ is_empty: boolean }>({
    name: 'is_outbox_empty',
    text: 'select not exists (select from outbox) as is_empty',
  });
  return rows[0]?.is_empty === true;
}

export interface OutboxRow {
  id: string;
  topic: 'commands' | 'jobs';
  key: string;
  type: string;
  payload: unknown;
  traceparent: string | null;
  created_at: Date;
}

/**
 * Reads the oldest rows and holds the relay's lock until the transaction ends, so that messages of one job reach Kafka
 * in the order in which they were written. Other readers get nothing while the lock is held.
 */
export async function readOutbox(db: Queryable, limit: number): Promise<OutboxRow[]> {
  const { rows: locked } = await db.query<{ held: boolean }>('select pg_try_advisory_xact_lock($1) as held', [
    ADVISORY_LOCKS.relayOutbox,
  ]);
  if (locked[0]?.held !== true) return [];
  // `id` alone would refer to the returned text, in which 10 comes before 9.
  const { rows } = await db.query<OutboxRow>({
    name: 'read_outbox',
    text: 'select id::text, topic, key, type, payload, traceparent, created_at from outbox order by outbox.id limit $1',
    values: [limit],
  });
  return rows;
}

export async function deleteOutbox(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.query({
    name: 'delete_outbox',
    text: 'delete from outbox where id = any ($1::bigint[])',
    values: [ids],
  });
}
