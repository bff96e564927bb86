import { parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

/** A streamed commit usually becomes visible within milliseconds, so faster polling gains little. */
const BUSY_INTERVAL_MS = 50;
/** Keeps `xmax`, which xids are widened by, recent. */
const QUIET_INTERVAL_MS = 1_000;

export async function readSnapshot(db: Queryable): Promise<Snapshot> {
  const { rows } = await db.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot');
  return parseSnapshot(rows[0]?.snapshot ?? '');
}

/**
 * An xid above every xid assigned so far. It consumes one. A snapshot's `xmax` would not do: it is only above finished
 * transactions, and a commit that is streamed but not visible has not finished.
 */
export async function readNextXid(db: Queryable): Promise<bigint> {
  const { rows } = await db.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
  return BigInt(rows[0]?.xid ?? '');
}

export interface SnapshotPoll {
  readonly db: Queryable;
  readonly isBusy: () => boolean;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  readonly log: Log;
}

/** Polls until the signal aborts. A failed poll is logged and retried: until then nothing settles, and nothing is lost. */
export async function pollSnapshots(
  { db, isBusy, onSnapshot, log }: SnapshotPoll,
  signal: AbortSignal,
): Promise<void> {
  let failureCount = 0;
  while (!signal.aborted) {
    try {
      onSnapshot(await readSnapshot(db));
      failureCount = 0;
      await sleep(isBusy() ? BUSY_INTERVAL_MS : QUIET_INTERVAL_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      log.warn('snapshot.failed', { error, failureCount });
      await sleep(backoffMs(failureCount, { initialMs: 100, maxMs: 5_000 }), signal);
      failureCount += 1;
    }
  }
}
