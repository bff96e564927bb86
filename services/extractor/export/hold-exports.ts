import { sweepKeys } from '../../../shared/control/exports/changed-keys.ts';
import { endCancelledExports } from '../../../shared/control/exports/end-export.ts';
import {
  noteRunTrace,
  type RunStatus,
  readRunStatuses,
  renewExport,
} from '../../../shared/control/exports/export-run.ts';
import {
  type ClaimedExport,
  claimExport,
  type ExportLimits,
  findOpenExports,
} from '../../../shared/control/exports/queue-exports.ts';
import { EXPORT_LEASE_SECONDS } from '../../../shared/control/leases.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import { LeaseLostError, renewLease } from '../../../shared/runtime/lease-renewer.ts';
import { inSpan, type OpenSpan } from '../../../shared/runtime/tracing.ts';
import { createWorkPool } from '../../../shared/runtime/work-pool.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { ExportCancelledError, ExportFailedError, StoppingError } from '../extraction-errors.ts';
import type { SuspectPlace } from '../suspect-place.ts';
import { endRun } from './end-run.ts';
import { runExport } from './run-export.ts';
import type { RunExportConfig, RunExportDeps, RunHandle } from './run-parts.ts';
import { isSmallExport, SMALL_EXPORT_ROWS, SMALL_EXPORTS_AT_ONCE } from './share-sources.ts';

export interface HoldExportsConfig extends RunExportConfig {
  /**
   * Limit of concurrent large exports of this process. Each costs two idle connections to the source. 0: it runs no
   * export.
   */
  readonly maxExports: number;
  readonly limits: ExportLimits;
  /** Limit of one run, because its snapshot holds back vacuum on the source. */
  readonly exportTimeoutMs: number;
}

const IDLE_MS = 1_000;

/** @param isRoomForLarge whether another large export may start */
export function exportPlaces(limits: ExportLimits, isRoomForLarge: boolean): ExportLimits {
  return isRoomForLarge ? limits : { ...limits, maxRows: SMALL_EXPORT_ROWS };
}

/** Claims exports, runs them, and decides what follows a failed run. Also ends cancelled exports without a holder. */
export function createExportHolder(
  owner: string,
  config: HoldExportsConfig,
  suspects: SuspectPlace,
  deps: RunExportDeps,
): Worker {
  const { control, log, notifiers } = deps;
  let largeCount = 0;
  let sweptAtMs = Number.NEGATIVE_INFINITY;
  const statusOf = createGather((claims: readonly ClaimedExport[]) => readRunStatuses(control, claims));
  return createWorkPool<ClaimedExport>({
    name: 'export-holder',
    maxUnits: config.maxExports === 0 ? 0 : config.maxExports + SMALL_EXPORTS_AT_ONCE,
    idleMs: IDLE_MS,
    notifier: notifiers.exports,
    log,
    async claim() {
      if (performance.now() - sweptAtMs >= IDLE_MS) {
        await sweepKeys(control);
        sweptAtMs = performance.now();
      }
      const { isAnyToClaim, isAnyCancelling } = await findOpenExports(control);
      if (isAnyCancelling) {
        for (const exportId of await endCancelledExports(control)) log.info('export.cancelled', { exportId });
      }
      if (!isAnyToClaim) return undefined;
      const places = exportPlaces(config.limits, largeCount < config.maxExports);
      return suspects.claim(
        (room) => claimExport(control, owner, places, room),
        ({ id, isSuspect }) => (isSuspect ? id : undefined),
      );
    },
    async work(claim, stopping) {
      const isLarge = !isSmallExport(claim);
      if (isLarge) largeCount += 1;
      await inSpan(
        'run export',
        {
          kind: 'consumer',
          parent: claim.traceparent,
          attributes: { 'tandem.export_id': claim.id, 'tandem.run': claim.runCount },
        },
        (span) => hold(claim, stopping, config, { ...deps, statusOf }, span),
      ).finally(() => {
        if (isLarge) largeCount -= 1;
        if (claim.isSuspect) suspects.leave(claim.id);
      });
    },
  });
}

interface HoldDeps extends RunExportDeps {
  /** Concurrent calls share a query. */
  statusOf(claim: ClaimedExport): Promise<RunStatus>;
}

async function hold(
  claim: ClaimedExport,
  stopping: AbortSignal,
  config: HoldExportsConfig,
  deps: HoldDeps,
  span: OpenSpan | undefined,
): Promise<void> {
  const { control, notifiers } = deps;
  const log = deps.log.child({ exportId: claim.id, runAttempt: claim.runAttempt });
  const over = new AbortController();
  const abort = (reason: Error) => over.abort(reason);
  const stop = () => abort(new StoppingError('the extractor stops'));
  stopping.addEventListener('abort', stop, { once: true });
  let deadline: NodeJS.Timeout | undefined;
  const lease = renewLease({
    leaseSeconds: EXPORT_LEASE_SECONDS,
    renew: async () => ((await renewExport(control, claim)) ? 'held' : whyOver(deps, claim)),
    onMissed: (error) => log.warn('export.renewal_missed', { error }),
  });
  lease.lost.addEventListener('abort', () => abort(lease.lost.reason), { once: true });
  const unlisten = notifiers.onInterruption(claim.id, lease.renewNow);
  const run: RunHandle = {
    claim,
    signal: over.signal,
    abort,
    startDeadline() {
      deadline ??= setTimeout(() => abort(timeoutError(config.exportTimeoutMs)), config.exportTimeoutMs);
    },
    async check() {
      const status = await deps.statusOf(claim);
      if (status.state === 'held') return status;
      throw status.state === 'cancelling' ? cancelledError() : lostError();
    },
  };
  log.info('export.claimed', { runCount: claim.runCount, resources: claim.resources });
  try {
    if (stopping.aborted) stop();
    over.signal.throwIfAborted();
    if (span !== undefined) await noteRunTrace(control, claim, span.traceparent);
    await runExport(run, config, { ...deps, log });
  } catch (thrown) {
    // After an abort, pending work fails in various ways. Only the first reason counts.
    const reason: unknown = over.signal.aborted ? over.signal.reason : thrown;
    span?.fail(reason);
    await endRun(claim, reason, stopping, config, { ...deps, log });
  } finally {
    clearTimeout(deadline);
    stopping.removeEventListener('abort', stop);
    unlisten();
    await lease[Symbol.asyncDispose]();
  }
}

async function whyOver({ statusOf }: HoldDeps, claim: ClaimedExport): Promise<Error> {
  const { state } = await statusOf(claim);
  return state === 'cancelling' ? cancelledError() : lostError();
}

const cancelledError = () => new ExportCancelledError('the export is to be cancelled');
const lostError = () => new LeaseLostError('the export is no longer ours');

function timeoutError(limitMs: number): ExportFailedError {
  return new ExportFailedError(
    'export_timeout',
    `The export took longer than ${Math.round(limitMs / 60_000)} minutes, which blocks vacuuming on the source: ` +
      'export fewer records at once, or raise EXTRACTOR_EXPORT_TIMEOUT_MS.',
  );
}
