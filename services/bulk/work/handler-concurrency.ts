import type { Barred } from '../../../shared/control/bulk/claim-chunk.ts';

interface Holder {
  readonly jobId: string;
  readonly accountId: string;
}

/** A chunk's slot among those that ask handlers. */
export interface HandlerSlot {
  /** The handler has answered. */
  answered(): void;
  release(): void;
}

/**
 * Who may have how many of a process's `maxChunks` HTTP chunks in hand. A handler that hangs holds each for minutes, so nobody may take
 * the last ones of all: a job has a quarter at most, and an account takes another only as long as more are free than it has. With 8
 * that makes 2 for a job and 4 for an account alone. A chunk whose handler has not answered for some seconds waits in one of three
 * times as many further places, where it takes nothing from those whose handlers answer.
 */
export interface HandlerConcurrency {
  /** Places there may be at once, the further ones among them. */
  readonly maxSlots: number;
  /** Undefined: nobody may have another. */
  barred(): Barred | undefined;
  take(holder: Holder): HandlerSlot;
}

/** Part of the chunks that one job may have. */
const JOB_PART = 1 / 4;

/** Part that one account may have, whether its handlers answer or not. */
const ACCOUNT_PART = 1 / 2;

/** Chunks that wait for handlers which hang, for each that is worked on. They cost a few sockets each. */
const STALLED_PARTS = 3;

/** A handler that answers at all does so within this, or its chunk waits apart. */
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
      // Of an account and a job all chunks count: it is their own handlers that hang.
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
