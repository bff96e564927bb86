import { decideReading } from '../../../shared/control/exports/chunked-reading.ts';
import { whySingle } from '../chunked/why-single.ts';
import {
  classifyExtractionError,
  ExportFailedError,
  type FailureCode,
  SingleSnapshotNeededError,
  TABLE_ALTERED,
} from '../extraction-errors.ts';
import { readRequest, resourceOf } from '../plan/row-selection.ts';
import { runChunked } from './run-chunked.ts';
import { ours, type RunExportConfig, type RunExportDeps, type RunHandle } from './run-parts.ts';
import { runSingle } from './run-single.ts';

/**
 * One run of an export, of the kind decided by its first run. A chunked export that can't be made exact is read again
 * under one snapshot, in the same run.
 */
export async function runExport(run: RunHandle, config: RunExportConfig, deps: RunExportDeps): Promise<void> {
  if ((await decideKind(run, config, deps)) === 'single') return runSingle(run, config, deps);
  try {
    await runChunked({ ...run, check: () => checkReading(run) }, config, deps);
  } catch (error) {
    run.signal.throwIfAborted();
    const reason = whyNotExact(error);
    if (reason === undefined) throw error;
    deps.log.warn('export.read_again', { reason });
    await ours(decideReading(deps.control, run.claim, 'single', reason));
    await runSingle(run, config, deps);
  }
}

/** @throws SingleSnapshotNeededError when a reader has found that the chunked read can't continue */
async function checkReading(run: RunHandle): ReturnType<RunHandle['check']> {
  const found = await run.check();
  if (found.singleReason !== null) throw new SingleSnapshotNeededError(found.singleReason);
  return found;
}

async function decideKind(
  { claim }: RunHandle,
  { chunkedExportRows }: RunExportConfig,
  { control, catalog }: RunExportDeps,
): Promise<'single' | 'chunked'> {
  if (claim.snapshotKind !== null) return claim.snapshotKind;
  const request = readRequest(claim.request);
  const isLarge = chunkedExportRows > 0 && (claim.rowsEstimated ?? 0) >= chunkedExportRows;
  // Most exports have only one possible kind. It is stored with their snapshot.
  if (request.snapshot !== 'chunked' && !(request.snapshot === null && isLarge)) return 'single';
  const resources = claim.resources.map((name) => resourceOf(catalog, name));
  const reason = whySingle(request, resources, claim.accountId);
  const kind = reason === undefined ? 'chunked' : 'single';
  await ours(decideReading(control, claim, kind, reason ?? null));
  return kind;
}

/** The failures of events that are incomplete or can't be read back. */
const EVENT_FAILURES: ReadonlySet<FailureCode> = new Set([
  'feed_reset',
  'table_changed',
  'feed_mismatch',
  'record_not_known',
]);

function whyNotExact(error: unknown): string | undefined {
  if (error instanceof SingleSnapshotNeededError) return error.message;
  if (error instanceof ExportFailedError) return EVENT_FAILURES.has(error.code) ? error.message : undefined;
  const action = classifyExtractionError(error);
  return action.kind === 'fail' && action.code === 'table_changed' ? TABLE_ALTERED : undefined;
}
