import type { Barred } from '../../../shared/control/bulk/claim-chunk.ts';

interface Holder {
  readonly jobId: string;
  readonly accountId: string;
}

/** A slot that one chunk of an HTTP operation occupies. */
export interface HandlerSlot {
  /** Call for each response of the handler. */
  answered(): void;
  release(): void;
}

/**
 * Limits how many of a process's `maxChunks` HTTP chunks one job or account may occupy. A handler that hangs occupies each slot
 * for minutes, so no one may take the last slots: a job gets at most a quarter of them, and an account another slot only while
 * more slots are free than it has. With 8 slots that is 2 for a job and 4 for a single account. A chunk whose handler has not
 * responded for some seconds moves to one of `3 × maxChunks` extra slots, where it takes nothing from handlers that respond.
 */
export interface HandlerConcurrency {
  /** All slots, the extra ones included. */
  readonly maxSlots: number;
  /** Accounts and jobs that may not take another slot; undefined when no slot is free. */
  barred(): Barred | undefined;
  take(holder: Holder): HandlerSlot;
}

/** Share of the slots that one job may take. */
const JOB_PART = 1 / 4;

/** Share of the slots that one account may take, whether its handlers respond or not. */
const ACCOUNT_PART = 1 / 2;

/** Extra slots for chunks whose handler hangs, as a multiple of `maxChunks`. Each costs a few sockets. */
const STALLED_PARTS = 3;

/** After this long without a response, a chunk moves to an extra slot. */
const STALLED_MS = 5_000;

export function createHandlerConcurrency(
  maxChunks: number,
  now = performance.now.bind(performance),
): HandlerConcurrency {
  const holders = new Set<Holder & { answeredAtMs: number; isStalled: boolean }>();
  const maxOfJob = Math.max(1, Math.floor(maxChunks * JOB_PART));
  const maxOfAccount = Math.max(1, Math.floor(maxChunks * ACCOUNT_PART));
  const maxStalled = maxChunks * STALLED_PARTS;
  const count = (of: (holder: Holder) => string) => {
    const counts = new Map<string, number>();
    for (const holder of holders) counts.set(of(holder), (counts.get(of(holder)) ?? 0) + 1);
    return counts;
  };
  const moveStalled = () => {
    const nowMs = now();
    let stalled = 0;
    for (const holder of holders) {
      holder.isStalled = nowMs - holder.answeredAtMs >= STALLED_MS && stalled < maxStalled;
      if (holder.isStalled) stalled += 1;
    }
    return stalled;
  };
  return {
    maxSlots: maxChunks + maxStalled,
    barred() {
      const free = maxChunks - (holders.size - moveStalled());
      if (free <= 0) return undefined;
      // All chunks of an account and a job count, stalled ones too: it is their own handlers that hang.
      return {
        accountIds: keysWhere(
          count(({ accountId }) => accountId),
          (held) => held >= Math.min(free, maxOfAccount),
        ),
        jobIds: keysWhere(
          count(({ jobId }) => jobId),
          (held) => held >= maxOfJob,
        ),
      };
    },
    take({ jobId, accountId }) {
      const holder = { jobId, accountId, answeredAtMs: now(), isStalled: false };
      holders.add(holder);
      return {
        answered() {
          holder.answeredAtMs = now();
        },
        release() {
          holders.delete(holder);
        },
      };
    },
  };
}

function keysWhere(counts: ReadonlyMap<string, number>, holds: (count: number) => boolean): string[] {
  return [...counts].filter(([, count]) => holds(count)).map(([key]) => key);
}
