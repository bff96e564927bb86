import type { Pool } from 'pg';
import { isLedgerReady, sweepLedger, sweepSyncRows } from '../../shared/bulk/ledger.ts';
import { dropOldQuotas } from '../../shared/control/bulk/bulk-quota.ts';
import { bulkFileFolder } from '../../shared/protocol/storage-paths.ts';
import { eachAlone } from '../../shared/runtime/each-alone.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { runRounds } from '../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import type { Storage } from '../../shared/storage/storage.ts';

export interface RetentionSweeperDeps {
  readonly control: Pool;
  readonly source: Pool;
  readonly storage: Storage;
  readonly log: Log;
  readonly retentionDays: number;
  now(): number;
}

const ROUND_MS = 60_000;

/** Ledger rows deleted by one statement. */
const SWEEP_ROWS = 5_000;

/** Quota counts outlive their period by this much: no claimed chunk belongs to the period any more by then. */
const QUOTA_KEPT_MS = 24 * 60 * 60 * 1_000;

/** Jobs or files read by one query. */
const BATCH = 20;

/** Storage is away then, and each further attempt would only take its time. */
const MAX_FAILURES_IN_ROW = 3;

/** Removes ended jobs with their results after the retention, and ID files that no job needs any more. */
export function createRetentionSweeper(deps: RetentionSweeperDeps): Worker {
  return {
    name: 'bulk-retention-sweeper',
    ready: Promise.resolve(),
    run(signal) {
      const onFailed = (error: unknown) => deps.log.warn('bulk.sweep_failed', { error });
      return runRounds(() => sweepRound(deps, signal), { restMs: ROUND_MS, onFailed }, signal);
    },
  };
}

/** Deletes the ledger rows first: a crash in between leaves a job that is swept again, not rows without a job. */
export async function sweepRound(
  { control, source, storage, log, retentionDays, now }: RetentionSweeperDeps,
  signal: AbortSignal,
): Promise<void> {
  // The source of a catalog without operations has no ledger.
  const hasLedger = await isLedgerReady(source);
  const sweepJob = async (id: string) => {
    while (hasLedger && !signal.aborted && (await sweepLedger(source, id, SWEEP_ROWS)) === SWEEP_ROWS) {
      // Repeat until a batch is not full.
    }
    if (signal.aborted) return;
    await control.query('delete from bulk_jobs where id = $1', [id]);
    log.info('bulk.job_swept', { jobId: id });
  };
  for (let after = ''; !signal.aborted; ) {
    // In order of ID, and so of age. A job that cannot be removed now is skipped until the next round.
    const { rows } = await control.query<{ id: string }>(
      `select id from bulk_jobs where ended_at < now() - make_interval(days => $1) and id > $2 order by id limit ${BATCH}`,
      [retentionDays, after],
    );
    await eachAlone(
      rows,
      { signal, onFailure: ({ id }, error) => log.warn('bulk.job_not_swept', { jobId: id, error }) },
      ({ id }) => sweepJob(id),
    );
    after = rows.at(-1)?.id ?? '';
    if (rows.length < BATCH) break;
  }
  if (hasLedger) await sweepSyncRows(source, SWEEP_ROWS);
  await dropOldQuotas(control, now() - QUOTA_KEPT_MS);
  for (let after = ''; !signal.aborted; ) {
    const { rows } = await control.query<{ id: string }>(
      `select id from bulk_files f
       where expires_at < now() and id > $1 and not exists (
         select from bulk_jobs j where j.file_id = f.id and j.status in ('pending', 'running', 'paused') and j.listed_at is null)
       order by id limit ${BATCH}`,
      [after],
    );
    const { isCutShort } = await eachAlone(
      rows,
      {
        signal,
        maxFailuresInRow: MAX_FAILURES_IN_ROW,
        onFailure: ({ id }, error) => log.warn('bulk.file_not_swept', { fileId: id, error }),
      },
      async ({ id }) => {
        await storage.deleteFolder(bulkFileFolder(id));
        await control.query('delete from bulk_files where id = $1', [id]);
      },
    );
    after = rows.at(-1)?.id ?? '';
    if (isCutShort || rows.length < BATCH) break;
  }
}
