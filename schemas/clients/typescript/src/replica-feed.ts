import { applyEvent, type RawEvent } from './apply-event.ts';
import { afterReset, beginLoad, type ReplicaState } from './replica-state.ts';
import type { StoreTransaction } from './replica-store.ts';

/**
 * Applies events in the transaction that is open. An event after which only a new export helps begins a load, and ends
 * the batch: what follows it is in the new export.
 *
 * @returns the state after them, and how many were applied
 */
export async function applyEvents(
  transaction: StoreTransaction,
  state: ReplicaState,
  events: readonly RawEvent[],
  keepDeletedDays: number,
): Promise<{ state: ReplicaState; count: number }> {
  let current = state;
  let count = 0;
  for (const event of events) {
    current = await applyOne(transaction, current, event);
    if (current.loading !== undefined) return { state: current, count };
    count += 1;
  }
  const position = events.reduce((last, event) => later(last, event.position ?? ''), current.position ?? '');
  if (position !== '') current = { ...current, position };
  return { state: await prune(transaction, current, events.at(-1)?.timestamp, keepDeletedDays), count };
}

function later(a: string, b: string): string {
  return a > b ? a : b;
}

async function applyOne(
  transaction: StoreTransaction,
  state: ReplicaState,
  event: RawEvent,
): Promise<ReplicaState> {
  const { position } = event;
  // Events of the account say nothing about records.
  if (position === null) return state;
  if (event.type === 'feed.reset') {
    const { reason, resources } = JSON.parse(event.data) as { reason: string; resources: string[] };
    const ours = resources.filter((name) => state.resources.includes(name));
    return ours.length === 0 ? state : afterReset(state, reason, ours);
  }
  if (!state.resources.includes(event.resource)) return state;
  const applied = await applyEvent(transaction, state.shown, { ...event, position });
  return applied === 'no_base' ? beginLoad(state, state.resources, 'record_missing') : state;
}

/** Once a day, removes the deleted records that no late event can be about any more. */
async function prune(
  transaction: StoreTransaction,
  state: ReplicaState,
  timestamp: string | undefined,
  keepDeletedDays: number,
): Promise<ReplicaState> {
  const day = timestamp?.slice(0, 10) ?? '';
  if (day === '' || day <= (state.prunedOn ?? '')) return state;
  const before = new Date(Date.parse(day) - keepDeletedDays * 86_400_000).toISOString();
  await transaction.dropDeleted(state.shown, before);
  return { ...state, prunedOn: day };
}
