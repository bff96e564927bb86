import type { Pool } from 'pg';
import { isLedgerReady, sweepLedger, sweepSyncRows } from '../../shared/bulk/ledger.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import type { Storage } from '../../shared/storage/storage.ts';
import { dropOldQuotas } from '../../shared/store/bulk-quota.ts';

export interface SweeperDeps {
  readonly control: Pool;
  readonly source: Pool;
  readonly storage: Storage;
  readonly log: Log;
  readonly retentionDays: number;
  now(): number;
}

const ROUND_MS = 60_000;

/** Rows of the ledger deleted by one statement. */
const SWEEP_ROWS = 5_000;

/** Counts of quota are kept this long after their period: nobody has anything in hand that belongs to it any more. */
const QUOTA_KEPT_MS = 24 * 60 * 60 * 1_000;

/** Jobs and files of one round. */
const BATCH = 20;

/** Removes ended jobs with their results after the retention, and files of IDs that no job needs any more. */
export function createSweeper(deps: SweeperDeps): Worker {
  return {
    name: 'bulk-sweeper',
    ready: Promise.resolve(),
    async run(signal) {
      while (!signal.aborted) {
        await sweepRound(deps, signal).catch((error: unknown) =>
          deps.log.warn('bulk.sweep_failed', { error }),
        );
        await sleep(ROUND_MS, signal);
      }
    },
  };
}

/** The ledger goes first, so that a crash in between leaves a job that is swept again rather than rows of no job. */
export async function sweepRound(
  { control, source, storage, log, retentionDays, now }: SweeperDeps,
  signal: AbortSignal,
): Promise<void> {
  // A catalog without operations has no ledger in its source, nor any right to one.
  const hasLedger = await isLedgerReady(source);
  const ended = await control.query<{ id: string }>(
    `select id from bulk_jobs where ended_at < now() - make_interval(days => $1) order by ended_at limit ${BATCH}`,
    [retentionDays],
  );
  for (const { id } of ended.rows) {
    while (hasLedger && !signal.aborted && (await sweepLedger(source, id, SWEEP_ROWS)) === SWEEP_ROWS) {
      // Another batch follows until there is less than one.
    }
    if (signal.aborted) return;
    await control.query('delete from bulk_jobs where id = $1', [id]);
    log.info('bulk.job_swept', { jobId: id });
  }
  if (hasLedger) await sweepSyncRows(source, SWEEP_ROWS);
  await dropOldQuotas(control, now() - QUOTA_KEPT_MS);
  const files = await control.query<{ id: string; path: string }>(
    `select id, path from bulk_files f
     where expires_at < now() and not exists (
       select from bulk_jobs j where j.file_id = f.id and j.status in ('pending', 'running', 'paused') and j.listed_at is null)
     limit ${BATCH}`,
  );
  for (const { id, path } of files.rows) {
    await storage.delete(path);
    await control.query('delete from bulk_files where id = $1', [id]);
  }
}
