import type { Pool } from 'pg';
import { catalogFingerprints } from '../../../shared/catalog/catalog-fingerprint.ts';
import {
  type ChunkBatch,
  type ClaimedChunk,
  claimChunks,
  isSmallChunk,
} from '../../../shared/control/chunks/claim-chunk.ts';
import {
  endChunkedReading,
  finishChunks,
  planRows,
  releaseChunks,
  renewChunks,
} from '../../../shared/control/chunks/hold-chunks.ts';
import { failExport } from '../../../shared/control/exports/end-export.ts';
import type { Ending } from '../../../shared/control/exports/export-run.ts';
import { EXPORT_LEASE_SECONDS } from '../../../shared/control/leases.ts';
import { formatLsn } from '../../../shared/domain/lsn.ts';
import { retryQuery } from '../../../shared/postgres/retry-query.ts';
import { LeaseLostError, renewLease } from '../../../shared/runtime/lease-renewer.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { inSpan, type OpenSpan } from '../../../shared/runtime/tracing.ts';
import { createWorkPool } from '../../../shared/runtime/work-pool.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { readChunkImages } from '../as-of/affected-keys.ts';
import { readChunkKeys } from '../changes-since/changed-keys.ts';
import {
  classifyExtractionError,
  ExportFailedError,
  type FailureAction,
  MAX_GIVE_WAYS,
  MAX_SETBACKS,
  reportEnding,
  StoppingError,
  setbacksExhausted,
  TABLE_ALTERED,
} from '../extraction-errors.ts';
import type { Notifiers } from '../notifiers.ts';
import { readFeedState } from '../store/feed-state.ts';
import type { SuspectPlace } from '../suspect-place.ts';
import { type CopyChunkBatchDeps, copyChunkBatch } from './copy-batch.ts';
import type { RowProducers } from './send-rows.ts';

export interface ReadChunksConfig {
  /** Concurrent batches of this process, not counting those of small chunks. 0: it reads none. */
  readonly maxChunks: number;
  readonly chunkTimeoutMs: number;
  /** How long an export may hold a snapshot, and how long a chunk of a chunked export may wait for its table. */
  readonly exportTimeoutMs: number;
}

export interface ReadChunksDeps
  extends Pick<
    CopyChunkBatchDeps,
    'openSession' | 'catalog' | 'resourceRows' | 'topicOf' | 'readRows' | 'holdSnapshot' | 'readSessions'
  > {
  readonly control: Pool;
  readonly producers: RowProducers;
  readonly notifiers: Notifiers;
  readonly log: Log;
  announceExtracted(chunk: ClaimedChunk, rowCount: number): void;
  /** Called when a batch of chunks was read. */
  onExtracted(rowCount: number, durationMs: number): void;
  /** Creates missing topics. */
  ensureTopics(): Promise<unknown>;
}

const IDLE_MS = 1_000;

/**
 * Unexplained attempts per chunk. A limit, because a row that crashes its reader would crash every extractor in turn.
 */
const MAX_ATTEMPTS = 5;

/** Delay before a failed chunk is claimed again: an outage of seconds costs a few attempts, not hundreds. */
const RETRY_DELAY_MS = 2_000;

const MAX_DELAY_MS = 60_000;

/** Delay after a chunk has given way, or had a setback, `count` times before: 2 s, 4 s, 8 s, … up to a minute. */
const growingDelayMs = (count: number) => Math.min(RETRY_DELAY_MS * 2 ** Math.min(count, 10), MAX_DELAY_MS);

/** The least time that a chunk which has given way `count` times has waited. */
function gaveWayMs(count: number): number {
  let sum = 0;
  for (let index = 0; index < count; index += 1) sum += growingDelayMs(index);
  return sum;
}

/** Concurrent batches of small chunks. More, because they mostly wait for the source, Kafka and the control store. */
const SMALL_BATCHES_AT_ONCE = 6;

/** Claims chunks of running exports and reads them. */
export function createChunkReader(
  owner: string,
  config: ReadChunksConfig,
  suspects: SuspectPlace,
  deps: ReadChunksDeps,
): Worker {
  const catalog = catalogFingerprints(deps.catalog.resources);
  let largeCount = 0;
  return createWorkPool<ChunkBatch>({
    name: 'chunk-reader',
    maxUnits: config.maxChunks === 0 ? 0 : config.maxChunks + SMALL_BATCHES_AT_ONCE,
    idleMs: IDLE_MS,
    notifier: deps.notifiers.chunks,
    log: deps.log,
    claim() {
      const isSmallOnly = largeCount >= config.maxChunks;
      return suspects.claim(
        (room) => claimChunks(deps.control, owner, { catalog, isSmallOnly, room }),
        ([{ exportId, isSuspect }]) => (isSuspect ? exportId : undefined),
      );
    },
    async work(batch, stopping) {
      const isLarge = !batch.every(isSmallChunk);
      if (isLarge) largeCount += 1;
      const [{ exportId, resource, chunk, attempt, isSuspect, traceparent: parent }] = batch;
      const attributes = {
        'tandem.export_id': exportId,
        'tandem.resource': resource,
        'tandem.chunk': chunk,
        'tandem.attempt': attempt,
        'tandem.chunk_count': batch.length,
      };
      await inSpan('read chunks', { parent, attributes }, (span) =>
        readChunkBatch(batch, stopping, config, deps, span),
      ).finally(() => {
        if (isLarge) largeCount -= 1;
        if (isSuspect) suspects.leave(exportId);
      });
    },
  });
}

async function readChunkBatch(
  batch: ChunkBatch,
  stopping: AbortSignal,
  config: ReadChunksConfig,
  deps: ReadChunksDeps,
  span: OpenSpan | undefined,
): Promise<void> {
  const { control, notifiers } = deps;
  const [first] = batch;
  const { exportId, resource, chunk: number, attempt } = first;
  const log = deps.log.child({ exportId, resource, chunk: number, attempt, chunkCount: batch.length });
  const over = new AbortController();
  const abort = (reason: unknown) => over.abort(reason);
  const stop = () => abort(new StoppingError('the extractor stops'));
  stopping.addEventListener('abort', stop, { once: true });
  const rowsRead = batch.map(() => 0);
  const lease = renewLease({
    leaseSeconds: EXPORT_LEASE_SECONDS,
    renew: async () => ((await renewChunks(control, batch, rowsRead)) ? 'held' : lostError()),
    onMissed: (error) => log.warn('chunk.renewal_missed', { error }),
  });
  lease.lost.addEventListener('abort', () => abort(lease.lost.reason), { once: true });
  const unlisten = notifiers.onInterruption(exportId, lease.renewNow);
  const startedAtMs = Date.now();
  try {
    if (stopping.aborted) stop();
    over.signal.throwIfAborted();
    if (first.tries > MAX_ATTEMPTS) throw exhausted(first);
    const read = await deps.producers.use((producer) =>
      copyChunkBatch(batch, over.signal, abort, {
        ...deps,
        producer,
        chunkTimeoutMs: config.chunkTimeoutMs,
        readKeys: (claimed) => readChunkKeys(control, claimed),
        readImages: (claimed) => readChunkImages(control, claimed),
        planRows: async (rowCounts) => {
          if (!(await planRows(control, batch, rowCounts))) throw lostError();
        },
        readSettled: async () => {
          const state = await readFeedState(control);
          return state && formatLsn(state.settledLsn);
        },
        onProgress: (index, count) => {
          rowsRead[index] = count;
        },
      }),
    );
    await lease[Symbol.asyncDispose]();
    if (!(await finishChunks(control, batch, read))) throw lostError();
    const rowCount = read.reduce((sum, { rows }) => sum + rows, 0);
    const durationMs = Date.now() - startedAtMs;
    log.info('chunk.extracted', { rowCount, durationMs });
    span?.setAttributes({ 'tandem.rows': rowCount });
    deps.onExtracted(rowCount, durationMs);
    for (const [index, chunk] of batch.entries()) deps.announceExtracted(chunk, read[index]?.rows ?? 0);
    notifiers.notifyChange(exportId);
  } catch (thrown) {
    // After an abort, pending work fails in various ways. Only the first reason counts.
    const reason: unknown = over.signal.aborted ? over.signal.reason : thrown;
    span?.fail(reason);
    await endAttempt(batch, reason, stopping, log, config, deps);
  } finally {
    stopping.removeEventListener('abort', stop);
    unlisten();
    await lease[Symbol.asyncDispose]();
  }
}

const lostError = () => new LeaseLostError('the chunks are no longer ours');

type Failure = Extract<FailureAction, { kind: 'fail' }>;

/** Limits what the chunk itself may cause, each kind of ending by itself. `exhausted` limits unexplained attempts. */
export function followAttempt(
  action: FailureAction,
  { held, setbackCount, gaveWayCount }: Pick<ClaimedChunk, 'held' | 'setbackCount' | 'gaveWayCount'>,
  exportTimeoutMs: number,
): Failure | { readonly delayMs: number; readonly ending: Ending } {
  switch (action.kind) {
    case 'fail':
      return action;
    case 'retry':
      if (action.after === 'outage') return { delayMs: RETRY_DELAY_MS, ending: 'outage' };
      if (action.after === 'unforeseen') return { delayMs: RETRY_DELAY_MS, ending: 'unexplained' };
      if (setbackCount + 1 >= MAX_SETBACKS) return setbacksExhausted('attempts at a chunk');
      return { delayMs: growingDelayMs(setbackCount), ending: 'setback' };
    case 'give-way': {
      // Under the export's snapshot the holder gives way too and restarts the chunk, so a chunk that keeps giving way has
      // no holder any more. A chunk with its own snapshot blocks nobody while it waits.
      const isHopeless =
        held === undefined ? gaveWayMs(gaveWayCount) >= exportTimeoutMs : gaveWayCount + 1 >= MAX_GIVE_WAYS;
      if (isHopeless) return action.failure;
      return {
        delayMs: held === undefined ? growingDelayMs(gaveWayCount) : RETRY_DELAY_MS,
        ending: 'gave_way',
      };
    }
    case 'let-go':
    case 'abandon':
      return { delayMs: 0, ending: 'let_go' };
  }
}

/**
 * Ends a failed attempt. Waits for a store that is away. If the store stays away, the lease expires and the chunks are
 * claimed again.
 */
async function endAttempt(
  batch: ChunkBatch,
  error: unknown,
  stopping: AbortSignal,
  log: Log,
  { exportTimeoutMs }: ReadChunksConfig,
  deps: ReadChunksDeps,
): Promise<void> {
  const [first] = batch;
  const { tries, setbackCount, gaveWayCount } = first;
  const action = classifyExtractionError(error, [...new Set(batch.map(({ resource }) => resource))]);
  const follows = followAttempt(action, first, exportTimeoutMs);
  const persistently = <T>(query: () => Promise<T>) => retryQuery('ending an attempt', log, query, stopping);
  try {
    if ('ending' in follows) {
      const { delayMs, ending } = follows;
      reportEnding(log, 'chunk', ending, { error, tries, setbackCount, gaveWayCount, delayMs });
      await persistently(() => releaseChunks(deps.control, batch, follows));
    } else if (follows.code === 'table_changed' && first.held === undefined) {
      log.warn('chunk.table_changed', { error });
      await persistently(() => endChunkedReading(deps.control, batch, TABLE_ALTERED, RETRY_DELAY_MS));
      deps.notifiers.notifyInterruption(first.exportId);
    } else {
      log.error('chunk.failed', { code: follows.code, error });
      await persistently(() => failExport(deps.control, first.exportId, first.runAttempt, follows));
      deps.notifiers.notifyInterruption(first.exportId);
    }
    // If a topic was deleted since the start, every attempt would fail.
    if (action.kind === 'retry') await deps.ensureTopics();
  } catch (cause) {
    log.warn('chunk.release_failed', { error: cause });
  }
}

function exhausted({ resource, chunk }: ClaimedChunk): ExportFailedError {
  return new ExportFailedError(
    'attempts_exhausted',
    `Chunk ${chunk} of ${resource} could not be read in ${MAX_ATTEMPTS} attempts. ` +
      'The extractors’ logs say why; a single very large record may be the cause.',
  );
}
