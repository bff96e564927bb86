import { ReplicaError } from './errors.ts';
import type { Change } from './replica-load.ts';
import { isHeld, isHeldBy, type ReplicaState } from './replica-state.ts';

/** A process that dies in a check holds its replica for no longer than this. */
const HOLD_MS = 60_000;
const RENEW_MS = 10_000;

/** @throws ReplicaError */
export function requireLoaded(state: ReplicaState | undefined): ReplicaState {
  if (state !== undefined && state.shown > 0 && state.loading === undefined) return state;
  throw new ReplicaError('The replica is not loaded: sync it first.');
}

export interface Hold {
  readonly id: string;
  readonly state: ReplicaState;
  /** Every few seconds. @throws ReplicaError when the hold is over */
  renew(): Promise<void>;
  release(): Promise<void>;
}

/** Keeps events from being applied, in every process that has the store, until it is released or its process has died. */
export async function holdEvents(change: Change, signal: AbortSignal | undefined): Promise<Hold> {
  signal?.throwIfAborted();
  const id = crypto.randomUUID();
  const expiry = () => new Date(Date.now() + HOLD_MS).toISOString();
  let renewedAtMs = Date.now();
  const state = requireLoaded(
    await change((_, now) => {
      requireLoaded(now);
      if (now !== undefined && isHeld(now)) throw new ReplicaError('Another check of this replica runs.');
      return now && { ...now, check: { id, expiresAt: expiry() } };
    }),
  );
  const release = async () => {
    await change((_, now) => {
      if (now?.check?.id !== id) return now;
      const { check: _mine, ...rest } = now;
      return rest;
    });
  };
  return {
    id,
    state,
    async renew() {
      if (Date.now() - renewedAtMs < RENEW_MS) return;
      await change((_, now) => {
        if (now === undefined || !isHeldBy(now, id)) throw lostHold();
        return { ...now, check: { id, expiresAt: expiry() } };
      });
      renewedAtMs = Date.now();
    },
    release,
  };
}

export function lostHold(): ReplicaError {
  return new ReplicaError('The check took too long, or a new load of the replica began: try again.');
}
