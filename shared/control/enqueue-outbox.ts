import type { Messages, MessageType } from '../kafka/messages.ts';
import type { Queryable } from '../postgres/queryable.ts';

/** One message that must reach Kafka because of what the same transaction writes. */
export type OutboxEntry = {
  [T in MessageType]: {
    readonly topic: 'commands' | 'jobs';
    readonly key: string;
    readonly type: T;
    readonly payload: Messages[T];
  };
}[MessageType];

/** Adds messages to the outbox, in this order. Call it inside the transaction that makes them true. */
export async function enqueueOutbox(db: Queryable, entries: readonly OutboxEntry[]): Promise<void> {
  await db.query({
    name: 'enqueue_outbox',
    text: `insert into outbox (topic, key, type, payload)
           select e->>'topic', e->>'key', e->>'type', e->'payload'
           from jsonb_array_elements($1::jsonb) with ordinality as t (e, place)
           order by place`,
    values: [JSON.stringify(entries)],
  });
}
