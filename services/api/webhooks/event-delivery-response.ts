import { z } from 'zod';
import { count, listOf, timestamp } from '../http/schema.ts';
import { attemptSchema, presentAttempt } from './attempt-response.ts';
import type { EventDeliveryRow } from './event-delivery-store.ts';

const STATES = {
  delivered: 'a response accepted it',
  retrying: 'an attempt failed, and the next is scheduled',
  waiting: 'earlier events of its record come first',
  dead: 'it was given up',
  upcoming: 'the endpoint has not reached it',
  in_export: 'the endpoint starts after an export that holds it',
  not_subscribed: 'the endpoint does not subscribe to its type',
  passed: 'the position is past it and no attempt is retained',
} as const;

type State = keyof typeof STATES;

export const eventDeliverySchema = z
  .strictObject({
    webhook_id: z.string(),
    url: z.string(),
    state: z.enum(Object.keys(STATES) as [State, ...State[]]).meta({
      description: Object.entries(STATES)
        .map(([state, meaning]) => `${state}: ${meaning}.`)
        .join(' '),
    }),
    failed_attempts: count.meta({ description: 'Attempts that failed since the event was first scheduled.' }),
    next_attempt_at: timestamp.nullable(),
    last_attempt: attemptSchema.nullable().meta({ description: 'The latest attempt that is retained.' }),
  })
  .meta({ id: 'EventDelivery' });

export const eventDeliveryListSchema = listOf(eventDeliverySchema);

export function presentEventDelivery(
  row: EventDeliveryRow,
  isWanted: boolean,
): z.input<typeof eventDeliverySchema> {
  const { last_attempt: last } = row;
  return {
    webhook_id: row.webhook_id,
    url: row.url,
    state: stateOf(row, isWanted),
    failed_attempts: row.attempt_count ?? 0,
    next_attempt_at: row.next_attempt_at?.toISOString() ?? null,
    last_attempt: last && presentAttempt({ ...last, started_at: new Date(last.started_at) }),
  };
}

function stateOf(row: EventDeliveryRow, isWanted: boolean): State {
  if (row.retry_state === 'dead') return 'dead';
  if (row.retry_state === 'waiting') return (row.attempt_count ?? 0) > 0 ? 'retrying' : 'waiting';
  if (row.is_behind) return 'waiting';
  if (row.is_delivered) return 'delivered';
  if (row.is_in_export) return 'in_export';
  if (!isWanted) return 'not_subscribed';
  return row.is_ahead ? 'upcoming' : 'passed';
}
