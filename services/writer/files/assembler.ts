import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import {
  type ClaimedAssembly,
  claimAssembly,
  completeExport,
  findAssemblies,
  listParts,
  releaseAssembly,
  renewAssembly,
} from '../../../shared/control/exports/assembly.ts';
import { readDeletedKeys } from '../../../shared/control/exports/changed-keys.ts';
import { readChunkMerge } from '../../../shared/control/exports/chunk-merge.ts';
import { failByAssembly } from '../../../shared/control/exports/end-export.ts';
import { EXPORT_LEASE_SECONDS } from '../../../shared/control/leases.ts';
import { retryQuery } from '../../../shared/postgres/retry-query.ts';
import { LeaseLostError, renewLease } from '../../../shared/runtime/lease-renewer.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Notifier } from '../../../shared/runtime/notifier.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { inSpan, type OpenSpan } from '../../../shared/runtime/tracing.ts';
import { createWorkPool } from '../../../shared/runtime/work-pool.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { PublishedExport } from '../metrics.ts';
import { type AssembleDeps, assembleExport } from './assemble-export.ts';
import { assemblyExhausted, classifyAssemblyError } from './classify-assembly-error.ts';

/**
 * Size limit of a small assembly. It takes only round trips to the control store and storage, so several in parallel
 * take hardly longer than one, even beside large ones.
 */
const SMALL_BYTES = 1024 * 1024;
const SMALL_AT_ONCE = 10;

/** An export's last part may be written by another process, so ready exports are polled for beside all notifications. */
const POLL_RUNNING_MS = 200;
const POLL_IDLE_MS = 1_000;
/** Without notifications it polls more often while an export is new: a small export ends within a second. */
const POLL_NEW_MS = 25;
const NEW_MS = 3_000;

/** Before an assembly is claimed again, by what the attempt ended with. */
const DELAYS_MS = {
  'try again': (tryCount: number) => backoffMs(tryCount, { initialMs: 500, maxMs: 30_000 }),
  // Storage's own client has tried for some seconds by then.
  outage: () => 5_000,
  // All attempts together outlast the replacement of all writers.
  'leave to another': () => 60_000,
};

export interface AssemblerDeps {
  readonly pool: Pool;
  /** Limit of concurrent exports with more than `SMALL_BYTES`. */
  readonly maxAssemblies: number;
  readonly storage: AssembleDeps['storage'];
  readonly scratch: AssembleDeps['scratch'];
  readonly rowTypeOf: AssembleDeps['rowTypeOf'];
  readonly chooseFormat: AssembleDeps['chooseFormat'];
  readonly keyOf: AssembleDeps['keyOf'];
  readonly retentionDays: number;
  /** Notified when this process has written a part, and when any has found an export to be read and sealed. */
  readonly notifier: Notifier;
  /** Whether it is notified of other processes' work at present. */
  readonly isNotified: () => boolean;
  /** Called when an export has ended here, so that its parts are removed at once. */
  readonly onEnded: () => void;
  readonly onPublished: (done: PublishedExport) => void;
  readonly log: Log;
}

/** Claims exports that are ready and publishes them. May run in any number of processes. */
export function createAssembler(deps: AssemblerDeps): Worker {
  const { pool, maxAssemblies, retentionDays, notifier, isNotified, onEnded, log } = deps;
  let largeCount = 0;
  let idleMs = POLL_IDLE_MS;

  async function publish(
    claim: ClaimedAssembly,
    stop: AbortSignal,
    span: OpenSpan | undefined,
  ): Promise<void> {
    const { exportId } = claim;
    const startedAtMs = performance.now();
    const exhausted = assemblyExhausted(claim.tryCount);
    if (exhausted !== undefined) {
      if (await failByAssembly(pool, claim, exhausted))
        log.error('export.failed', { exportId, ...exhausted });
      return;
    }
    const assembleDeps = {
      ...deps,
      listParts: (id: string) => listParts(pool, id),
      deletedKeys: (resource: string) => readDeletedKeys(pool, claim, resource),
      chunkMerge: (resource: string) => readChunkMerge(pool, claim, resource),
    };
    await using lease = renewLease({
      leaseSeconds: EXPORT_LEASE_SECONDS,
      renew: async () =>
        (await renewAssembly(pool, claim)) ? 'held' : new LeaseLostError('the claim is over'),
      stopping: stop,
    });
    const files = await assembleExport(claim, assembleDeps, lease.lost);
    const isCompleted = await retryQuery('completing an export', log, () =>
      completeExport(pool, claim, files, retentionDays),
    );
    if (!isCompleted) throw new LeaseLostError('the claim is over');
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const assemblyMs = performance.now() - startedAtMs;
    deps.onPublished({ bytes, assemblyMs, totalMs: Date.now() - claim.createdAt.getTime() });
    span?.setAttributes({ 'tandem.files': files.length, 'tandem.bytes': bytes });
    log.info('export.completed', {
      exportId,
      rows: files.reduce((sum, file) => sum + file.rows, 0),
      bytes,
      files: files.length,
      durationMs: Math.round(assemblyMs),
    });
  }

  async function takeCareOf(claim: ClaimedAssembly, error: unknown, stop: AbortSignal): Promise<void> {
    const { exportId, tryCount } = claim;
    if (stop.aborted) {
      await releaseAssembly(pool, claim, { delayMs: 0, isCounted: false });
      return;
    }
    if (error instanceof LeaseLostError && error.cause === undefined) {
      // The sweeper removes a cancelled export's files once no writer holds the claim.
      log.info('assembly.given_up', { exportId, reason: error.message });
      await releaseAssembly(pool, claim, { delayMs: 0, isCounted: true });
      return;
    }
    const errorClass = classifyAssemblyError(error, tryCount);
    if (typeof errorClass === 'string') {
      const delayMs = DELAYS_MS[errorClass](tryCount);
      log.warn('assembly.put_off', { exportId, tryCount, delayMs, error });
      await releaseAssembly(pool, claim, { delayMs, isCounted: errorClass !== 'outage' });
    } else if (await failByAssembly(pool, claim, errorClass.fail)) {
      log.error('export.failed', { exportId, ...errorClass.fail, error });
    }
  }

  async function assemble(claim: ClaimedAssembly, stop: AbortSignal): Promise<void> {
    if (!claim.isSmall) largeCount += 1;
    try {
      const { exportId, traceparent: parent, tryCount } = claim;
      const attributes = { 'tandem.export_id': exportId, 'tandem.attempt': tryCount };
      await inSpan('assemble export', { parent, attributes }, (span) => publish(claim, stop, span));
    } catch (error) {
      // If the store can't be asked, the lease ends and the export is claimed again.
      await retryQuery('ending an assembly', log, () => takeCareOf(claim, error, stop)).catch(
        (cause: unknown) => log.warn('assembly.not_ended', { exportId: claim.exportId, error: cause }),
      );
    } finally {
      if (!claim.isSmall) largeCount -= 1;
    }
    onEnded();
  }

  return createWorkPool<ClaimedAssembly>({
    name: 'assembler',
    maxUnits: maxAssemblies + SMALL_AT_ONCE,
    idleMs: () => idleMs,
    notifier,
    log,
    async claim() {
      const { isAnyRead, latestStartMs } = await findAssemblies(pool);
      if (latestStartMs === undefined) idleMs = POLL_IDLE_MS;
      else idleMs = latestStartMs < NEW_MS && !isNotified() ? POLL_NEW_MS : POLL_RUNNING_MS;
      if (!isAnyRead) return undefined;
      return claimAssembly(pool, `assembler-${randomUUID()}`, {
        smallBytes: SMALL_BYTES,
        isSmallOnly: largeCount >= maxAssemblies,
      });
    },
    work: assemble,
  });
}
