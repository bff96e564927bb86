import type { Barred } from '../store/claim-chunk.ts';

interface Holder {
  readonly jobId: string;
  readonly accountId: string;
}

/**
 * Who may have how many of a process's `maxChunks` HTTP chunks in hand. A handler that hangs holds each for minutes, so nobody may take
 * the last ones of all: a job has a quarter at most, and an account takes another only as long as more are free than it has. With 8
 * that makes 2 for a job and 4 for an account alone, and three accounts whose handlers hang (4, 2, 1) leave one for a fourth.
 */
export interface HandlerShares {
  barred(): Barred;
  take(holder: Holder): void;
  release(holder: Holder): void;
}

/** Part of the chunks that one job may have. */
const JOB_PART = 1 / 4;

export function createHandlerShares(maxChunks: number): HandlerShares {
  const ofJob = new Map<string, number>();
  const ofAccount = new Map<string, number>();
  const maxOfJob = Math.max(1, Math.floor(maxChunks * JOB_PART));
  let held = 0;
  const move = ({ jobId, accountId }: Holder, step: 1 | -1) => {
    held += step;
    add(ofJob, jobId, step);
    add(ofAccount, accountId, step);
  };
  return {
    barred() {
      const free = maxChunks - held;
      return {
        accountIds: keysWhere(ofAccount, (count) => count >= free),
        jobIds: keysWhere(ofJob, (count) => count >= maxOfJob),
      };
    },
    take: (holder) => move(holder, 1),
    release: (holder) => move(holder, -1),
  };
}

function add(counts: Map<string, number>, key: string, step: number): void {
  const count = (counts.get(key) ?? 0) + step;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

function keysWhere(counts: ReadonlyMap<string, number>, holds: (count: number) => boolean): string[] {
  return [...counts].filter(([, count]) => holds(count)).map(([key]) => key);
}
