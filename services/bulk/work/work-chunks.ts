import { classifySourceError } from '../../../shared/bulk/classify-source-error.ts';
import { handlerOperations } from '../../../shared/bulk/operation.ts';
import { type ClaimedChunk, claimChunk, WORKER_LOST } from '../../../shared/control/bulk/claim-chunk.ts';
import { failJob } from '../../../shared/control/bulk/end-job.ts';
import { FilterError } from '../../../shared/domain/bulk-filter.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { inSpan, type OpenSpan } from '../../../shared/runtime/tracing.ts';
import { createWorkPool, type WorkPoolOptions } from '../../../shared/runtime/work-pool.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { ActiveJobs } from '../active-jobs.ts';
import {
  countedFailure,
  JobFailedError,
  type JobFailure,
  repeatedFailure,
  SourceQueryError,
} from '../job-failures.ts';
import type { BulkMetrics } from '../metrics.ts';
import type { Throttle } from '../throttle.ts';
import { createHandlerConcurrency, type HandlerSlot } from './handler-concurrency.ts';
import { createTransactionSizes, type TransactionSize } from './transaction-size.ts';
import { type WorkDeps, workChunk } from './work-chunk.ts';

/** Between two polls for work while there is none. */
const IDLE_MS = 200;

export interface ChunkWorkerDeps extends Omit<WorkDeps, 'onAnswered' | 'onApplied' | 'size'> {
  readonly maxChunks: number;
  readonly maxHttpChunks: number;
  readonly active: ActiveJobs;
  readonly log: Log;
  readonly throttle: Throttle;
  readonly metrics: BulkMetrics;
}

/**
 * Claims chunks and works on them, several at once. Row operations and HTTP operations have a worker each: a statement ends
 * within seconds, while a handler that hangs keeps its chunk for minutes.
 */
export function createChunkWorkers(owner: string, deps: ChunkWorkerDeps): Worker[] {
  const { control, maxChunks, maxHttpChunks } = deps;
  const asking = handlerOperations(deps.catalog);
  const sizes = createTransactionSizes();
  const rowWorker = createPool('bulk-worker', maxChunks, deps, {
    claim: () => claimChunk(control, owner, { kind: 'rows', asking }),
    work: (claim, signal) =>
      step(claim, { ...deps, onAnswered: () => undefined }, sizes.of(claim.jobId), signal),
  });
  if (asking.length === 0) return [rowWorker];
  const handlers = createHandlerConcurrency(maxHttpChunks);
  const slotOf = new WeakMap<ClaimedChunk, HandlerSlot>();
  const httpWorker = createPool('bulk-http-worker', handlers.maxSlots, deps, {
    async claim() {
      const barred = handlers.barred();
      if (barred === undefined) return undefined;
      const claim = await claimChunk(control, owner, { kind: 'http', asking, barred });
      if (claim !== undefined) slotOf.set(claim, handlers.take(claim));
      return claim;
    },
    work(claim, signal) {
      const slot = slotOf.get(claim);
      const onAnswered = () => slot?.answered();
      return step(claim, { ...deps, onAnswered }, sizes.of(claim.jobId), signal).finally(() =>
        slot?.release(),
      );
    },
  });
  return [rowWorker, httpWorker];
}

function createPool(
  name: string,
  maxUnits: number,
  { active, log }: ChunkWorkerDeps,
  how: Pick<WorkPoolOptions<ClaimedChunk>, 'claim' | 'work'>,
): Worker {
  const idleMs = () => active.restMs(IDLE_MS);
  return createWorkPool({ name, maxUnits, idleMs, notifier: active.notifier(), log, ...how });
}

function step(
  claim: ClaimedChunk,
  deps: ChunkWorkerDeps & Pick<WorkDeps, 'onAnswered'>,
  size: TransactionSize,
  signal: AbortSignal,
): Promise<void> {
  const { jobId, chunk, attempt, items, traceparent: parent } = claim;
  const attributes = {
    'tandem.job_id': jobId,
    'tandem.chunk': chunk,
    'tandem.attempt': attempt,
    'tandem.items': items.length,
  };
  return inSpan('work chunk', { parent, attributes }, (span) => workOn(claim, deps, size, signal, span));
}

async function workOn(
  claim: ClaimedChunk,
  deps: ChunkWorkerDeps & Pick<WorkDeps, 'onAnswered'>,
  size: TransactionSize,
  signal: AbortSignal,
  span: OpenSpan | undefined,
): Promise<void> {
  const log = deps.log.child({ jobId: claim.jobId, chunk: claim.chunk, attempt: claim.attempt });
  const startedAtMs = performance.now();
  let appliedMs = 0;
  const onApplied = (ms: number) => {
    appliedMs = ms;
  };
  try {
    // Before the work: an item that crashes its worker leaves nobody to report it.
    const lost = repeatedFailure(claim.lastFailure === WORKER_LOST ? WORKER_LOST : null, claim.failureCount);
    if (lost !== undefined) throw new JobFailedError(lost.code, lost.message);
    const outcome = await workChunk(claim, { ...deps, size, onApplied }, signal);
    const durationMs = performance.now() - startedAtMs;
    deps.metrics.attempted(outcome, durationMs);
    span?.setAttributes({ 'tandem.outcome': outcome });
    if (outcome === 'handler_away' || outcome === 'handler_silent') log.warn('bulk.handler_away');
    log.debug('bulk.chunk_worked', {
      outcome,
      items: claim.items.length,
      durationMs: Math.round(durationMs),
    });
    // After the report, so that finished work is visible at once.
    if (appliedMs > 0) await deps.throttle.rest(appliedMs, signal);
  } catch (error) {
    span?.fail(error);
    deps.metrics.attempted('failed', performance.now() - startedAtMs);
    const failure = toFailure(error) ?? failureOf(claim, error);
    if (failure === undefined) {
      log.warn('bulk.chunk_failed', { error });
      // A chunk that could not be reported is claimed again when its lease ends.
      await sleep(IDLE_MS, signal);
      return;
    }
    log.error('bulk.job_failed', { code: failure.code, error });
    await failJob(deps.control, claim.jobId, failure).catch((cause: unknown) => {
      log.warn('bulk.job_failure_not_recorded', { error: cause });
    });
  }
}

/** The failure that ends the job, if its error has repeated too often. */
function failureOf({ lastFailure, failureCount }: ClaimedChunk, error: unknown): JobFailure | undefined {
  const name = countedFailure(error);
  return name === undefined ? undefined : repeatedFailure(name, name === lastFailure ? failureCount + 1 : 1);
}

/** The failure that ends the job at once; undefined: the chunk is retried. */
function toFailure(error: unknown): JobFailure | undefined {
  if (error instanceof JobFailedError) return { code: error.code, message: error.message };
  if (!(error instanceof SourceQueryError)) return undefined;
  const { cause } = error;
  if (cause instanceof FilterError) {
    return { code: 'filter_refused', message: `${cause.pointer}: ${cause.message}` };
  }
  const isHopeless = cause instanceof SetupError || classifySourceError(cause) === 'stop';
  if (!isHopeless) return undefined;
  return {
    code: 'source_refused',
    message: 'The source database refuses to change the records: its table or its rights have changed.',
  };
}
