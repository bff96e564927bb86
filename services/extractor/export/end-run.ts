import { readReading } from '../../../shared/control/exports/chunked-reading.ts';
import { failExport } from '../../../shared/control/exports/end-export.ts';
import { type Ending, type RunRelease, releaseExport } from '../../../shared/control/exports/export-run.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { retryQuery } from '../../../shared/postgres/retry-query.ts';
import {
  classifyExtractionError,
  type FailureAction,
  type Interruption,
  MAX_GIVE_WAYS,
  MAX_SETBACKS,
  reportEnding,
  setbacksExhausted,
} from '../extraction-errors.ts';
import type { RunExportDeps } from './run-parts.ts';

type Failure = Extract<FailureAction, { kind: 'fail' }>;

/** How the earlier runs of an export ended, since a chunk was last read. */
export type EarlierRuns = Pick<ClaimedExport, 'failedRuns' | 'setbackRuns' | 'gaveWayRuns'>;

/** Delay before the next run, after `endedRuns` have failed or given way: 2 s, 8 s, 32 s, then 128 s. */
function runDelayMs(endedRuns: number): number {
  return 2_000 * 4 ** Math.min(endedRuns - 1, 3);
}

/** The least time that an export has waited whose runs have given way `endedRuns` times. */
const runDelaysMs = (endedRuns: number) =>
  Array.from({ length: endedRuns }, (_, index) => runDelayMs(index + 1)).reduce((sum, ms) => sum + ms, 0);

const ENDINGS: Readonly<Record<Interruption, Ending>> = {
  outage: 'outage',
  setback: 'setback',
  unforeseen: 'unexplained',
};

/**
 * What follows an interrupted run: the export fails, or the next run begins later. This limits what the export itself
 * may cause, each kind of ending by itself. The next claim limits unexplained runs.
 *
 * @param maxPatienceMs how long the export may give way; 0 for an export that blocks others while it waits
 */
export function followRun(
  action: FailureAction,
  { failedRuns, setbackRuns, gaveWayRuns }: EarlierRuns,
  maxPatienceMs: number,
): Failure | RunRelease {
  switch (action.kind) {
    case 'fail':
      return action;
    case 'retry':
      if (action.after === 'setback' && setbackRuns + 1 >= MAX_SETBACKS)
        return setbacksExhausted('runs of the export');
      return { delayMs: runDelayMs(failedRuns + 1), ending: ENDINGS[action.after] };
    case 'give-way': {
      const count = gaveWayRuns + 1;
      if (count >= MAX_GIVE_WAYS && runDelaysMs(count) >= maxPatienceMs) return action.failure;
      return { delayMs: runDelayMs(count), ending: 'gave_way' };
    }
    case 'let-go':
      return { delayMs: 0, ending: 'let_go' };
    case 'abandon':
      return { delayMs: 0, ending: 'unexplained' };
  }
}

/**
 * Ends a run whose sessions are closed. Waits for a control store that is away, because a run that does not report its
 * ending counts as one that killed its process. If the store stays away, the lease expires and the export is claimed
 * again.
 */
export async function endRun(
  claim: ClaimedExport,
  error: unknown,
  stopping: AbortSignal,
  { exportTimeoutMs }: { readonly exportTimeoutMs: number },
  { control, notifiers, log }: RunExportDeps,
): Promise<void> {
  const action = classifyExtractionError(error, claim.resources);
  const persistently = <T>(query: () => Promise<T>) => retryQuery('ending a run', log, query, stopping);
  try {
    const isPatient = await persistently(() => mayWaitLong(claim, action, control));
    const follows = followRun(action, claim, isPatient ? exportTimeoutMs : 0);
    if ('ending' in follows) {
      const { delayMs, ending } = follows;
      reportEnding(log, 'export', ending, { error, failedRuns: claim.failedRuns, delayMs });
      await persistently(() => releaseExport(control, claim, follows));
    } else {
      log.error('export.failed', { code: follows.code, error });
      await persistently(() => failExport(control, claim.id, claim.runAttempt, follows));
      // An export that is being cancelled is only released.
      await persistently(() => releaseExport(control, claim, { delayMs: 0, ending: 'let_go' }));
    }
  } catch (cause) {
    log.warn('export.release_failed', { error: cause });
  }
  notifiers.exports.notify();
}

/** A chunked export keeps what it has read, and blocks nobody while it waits for a table. */
async function mayWaitLong(
  claim: ClaimedExport,
  action: FailureAction,
  control: RunExportDeps['control'],
): Promise<boolean> {
  if (action.kind !== 'give-way' || action.failure.code !== 'table_locked') return false;
  return (await readReading(control, claim))?.kind === 'chunked';
}
