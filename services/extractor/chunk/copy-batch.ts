import type { ChunkBatch, ClaimedChunk } from '../../../shared/control/chunks/claim-chunk.ts';
import type { ReadChunk } from '../../../shared/control/chunks/hold-chunks.ts';
import type { StoredSeen } from '../../../shared/control/exports/chunked-reading.ts';
import { chunkPartition } from '../../../shared/domain/account-partition.ts';
import { type Catalog, parentOf, tablesReadFor } from '../../../shared/domain/catalog.ts';
import { formatSnapshot } from '../../../shared/domain/snapshot.ts';
import { createPace } from '../../../shared/runtime/pace.ts';
import { packRecordKeys } from '../chunked/record-keys.ts';
import { lookAtSnapshot, makeSeenDurable } from '../export/take-snapshot.ts';
import { ExportFailedError, SourceSessionLostError } from '../extraction-errors.ts';
import { readReferences } from '../plan/references.ts';
import type { ResourceRowsSource } from '../plan/resource-rows.ts';
import { chunkCountQuery, type RowSelection, readRequest, resourceOf } from '../plan/row-selection.ts';
import { readColumnsVersion } from '../plan/table-forms.ts';
import type { ReadSessions } from '../source/read-sessions.ts';
import type { OpenSourceSession, SourceSession } from '../source/source-session.ts';
import { type ChunkSources, copyChunk } from './copy-chunk.ts';
import { assertNotRewritten, beginSnapshot, enterSnapshot } from './enter-snapshot.ts';
import type { ReadRows, RowReading } from './read-rows.ts';
import { createBatchSender, type RowBatch, type RowProducer, type RowRecord } from './send-rows.ts';

export interface CopyChunkBatchDeps extends ChunkSources {
  readonly openSession: OpenSourceSession;
  /** For chunks with a snapshot of their own. */
  readonly readSessions: ReadSessions;
  readonly catalog: Catalog;
  readonly resourceRows: ResourceRowsSource;
  readonly producer: RowProducer;
  readonly readRows: ReadRows;
  topicOf(resource: string): { readonly name: string; readonly partitionCount: number };
  /** Statement timeout of a chunk's read, so that a stalled reader releases its snapshot. */
  readonly chunkTimeoutMs: number;
  /**
   * Stores the row count of each chunk of the batch before the first row is sent. For chunks with a snapshot of their
   * own.
   *
   * @throws when the batch is no longer this reader's
   */
  planRows(rowCounts: readonly number[]): Promise<void>;
  /** The feed's settled position, `X/Y`; undefined when unknown. */
  readSettled(): Promise<string | undefined>;
  /** Counts a held snapshot. @returns a function to call when it is released */
  holdSnapshot(): () => void;
  /** Called often with the number of rows read so far of the chunk at `index` in the batch. */
  onProgress(index: number, rowCount: number): void;
}

/**
 * Size of a request's records. Large enough that a request's fixed cost does not matter, and small enough that two per
 * reader take little memory. Just below half a megabyte, because the client rounds its buffers up to a power of two.
 */
const BATCH_BYTES = 480 * 1024;

/**
 * Reads a batch of chunks in one session, under the export's snapshot or, in a chunked export, under a new one. It
 * sends each chunk's rows to one partition, in key order, numbered from 0, with the last one marked.
 *
 * @returns what each chunk has, once all rows are acknowledged
 * @throws ExportFailedError when a chunk's row count differs from the count under the snapshot
 */
export async function copyChunkBatch(
  batch: ChunkBatch,
  signal: AbortSignal,
  abort: (reason: unknown) => void,
  deps: CopyChunkBatchDeps,
): Promise<readonly ReadChunk[]> {
  const [first] = batch;
  const request = readRequest(first.request);
  const resources = [...new Set(batch.map(({ resource }) => resource))].map((name) =>
    resourceOf(deps.catalog, name),
  );
  const tables = tablesReadFor(resources);
  const family = first.resources.map((name) => resourceOf(deps.catalog, name));
  const { held, since } = first;
  const options = {
    purpose: `chunk ${first.chunk} ${first.exportId}`,
    statementTimeoutMs: deps.chunkTimeoutMs,
    onLost: abort,
  };
  const what = `${first.exportId}/${first.resource}/${first.chunk}`;
  await using session =
    held === undefined ? await deps.readSessions.open(what, options, since) : await deps.openSession(options);
  signal.addEventListener('abort', () => session[Symbol.asyncDispose](), { once: true });
  signal.throwIfAborted();
  const settled = held === undefined ? await deps.readSettled() : undefined;
  if (held !== undefined) await enterSnapshot(session, tables, held);
  else await beginSnapshot(session, tables, since);
  using snapshot = new DisposableStack();
  if (held === undefined) snapshot.defer(deps.holdSnapshot());
  const mayBeOutOfOrder = since !== undefined && session.role === 'primary' && resources.some(parentOf);
  const seen = mayBeOutOfOrder ? await readSeen(session, settled ?? since.startLsn) : null;
  const run = `${first.exportId}/${first.runAttempt}`;
  // A table may be altered between two such snapshots.
  const version = held === undefined ? `/${await readColumnsVersion(session, tablesReadFor(family))}` : '';
  const rowsOf = await deps.resourceRows.ofAll(`${run}${version}`, resources, session, family);
  await assertNotRewritten(session, tables);
  const references = request.include_related ? await readReferences(session, family) : [];

  const selectionOf = (chunk: ClaimedChunk): RowSelection => ({
    resource: resourceOf(deps.catalog, chunk.resource),
    request,
    accountSourceId: chunk.accountSourceId,
    references,
  });
  const counted =
    held === undefined ? await countRows(session, batch, selectionOf) : batch.map((c) => c.rowsPlanned);
  if (held === undefined) await deps.planRows(counted);

  const { max_rows_per_second: maxRowsPerSecond } = request;
  const pace = maxRowsPerSecond === null ? undefined : createPace(maxRowsPerSecond, signal);
  let reading: RowReading | undefined;
  const sender = createBatchSender<RowRecord, RowBatch>({
    maxBytes: BATCH_BYTES,
    openBatch: deps.producer.openBatch,
    // While one batch is being sent the next fills up, then reading pauses. So the pace of sending limits that of
    // reading.
    send: async (records) => {
      await pace?.(records.recordCount);
      await deps.producer.send(records);
    },
    onFull: () => reading?.pause(),
    onDrained: () => reading?.resume(),
    onFailure: abort,
  });
  const rowCounts: number[] = [];
  const keysOf: string[][] = [];
  for (const [index, claimed] of batch.entries()) {
    const chunk = { ...claimed, rowsPlanned: counted[index] ?? 0 };
    const keys: string[] = [];
    const rows = rowsOf.get(chunk.resource);
    if (rows === undefined) throw new Error(`the rows of ${chunk.resource} are not described`);
    const { name: topic, partitionCount } = deps.topicOf(chunk.resource);
    const rowCount = await copyChunk(
      chunk,
      {
        session,
        rows,
        selection: selectionOf(chunk),
        target: { topic, partition: chunkPartition(chunk, partitionCount) },
        sender,
        sources: deps,
        readRows: deps.readRows,
        onReading: (begun) => {
          reading = begun;
        },
        onProgress: (count) => deps.onProgress(index, count),
        onKey: held === undefined ? (key) => keys.push(key) : undefined,
      },
      signal,
    );
    rowCounts.push(rowCount);
    keysOf.push(keys);
  }
  await sender.finish();
  await assertNotRewritten(session, tables);
  await session.query('commit');
  for (const [index, { resource, chunk }] of batch.entries()) {
    const [rowsPlanned, rowCount] = [counted[index] ?? 0, rowCounts[index] ?? 0];
    if (rowCount !== rowsPlanned) throw countMismatch({ resource, chunk, rowsPlanned }, rowCount);
  }
  if (held !== undefined) {
    session.leaveClean();
    return rowCounts.map((rows) => ({ rows, recordKeys: null, readLsn: null, seen: null }));
  }
  const readLsn = session.role === 'replica' ? await readReplayed(session) : null;
  if (session.role === 'primary') await makeSeenDurable(session);
  session.leaveClean();
  return Promise.all(
    rowCounts.map(async (rows, index) => ({
      rows,
      recordKeys: await packRecordKeys(keysOf[index] ?? []),
      readLsn,
      seen,
    })),
  );
}

/**
 * A replica gets only WAL that is on the primary's disk. Everything that it showed was replayed by now.
 *
 * @returns the position, `X/Y`
 * @throws SourceSessionLostError when the replica was promoted, because it may have shown what the primary never had
 */
async function readReplayed(session: SourceSession): Promise<string> {
  const { rows } = await session.query(
    'select pg_is_in_recovery()::text as is_standby, pg_last_wal_replay_lsn()::text as lsn',
  );
  const { is_standby: isStandby, lsn } = rows[0] ?? {};
  if (isStandby === 'true' && lsn != null) return lsn;
  throw new SourceSessionLostError('chunk', { cause: new Error('the replica was promoted') });
}

/** The state that shows whether the session's snapshot sees parents and children in commit order. */
async function readSeen(session: SourceSession, settledLsn: string): Promise<StoredSeen> {
  const { snapshot, lsn } = await lookAtSnapshot(session);
  return { snapshot: formatSnapshot(snapshot), from_lsn: settledLsn, lsn };
}

/** Counts the rows of each chunk by its keys, under the session's snapshot. */
async function countRows(
  session: SourceSession,
  batch: ChunkBatch,
  selectionOf: (chunk: ClaimedChunk) => RowSelection,
): Promise<number[]> {
  const counts: number[] = [];
  for (const chunk of batch) {
    const { text, values } = chunkCountQuery(selectionOf(chunk), chunk);
    counts.push(Number((await session.query(text, values)).rows[0]?.n));
  }
  return counts;
}

function countMismatch(
  { resource, chunk, rowsPlanned }: Pick<ClaimedChunk, 'resource' | 'chunk' | 'rowsPlanned'>,
  rowCount: number,
): ExportFailedError {
  return new ExportFailedError(
    'row_count_mismatch',
    `Chunk ${chunk} of ${resource} has ${rowsPlanned} rows by its keys and ${rowCount} rows by its content: ` +
      'an index of the table may be damaged. Nothing was published.',
  );
}
