import type { ChunkBatch, ClaimedChunk } from '../../../shared/control/chunks/claim-chunk.ts';
import {
  type Catalog,
  type Resource,
  type TableName,
  tablesReadFor,
} from '../../../shared/domain/catalog.ts';
import { RowHeadersWriter } from '../../../shared/kafka/internals/row-headers.ts';
import { quoteLiteral, quoteTable } from '../../../shared/postgres/quote.ts';
import { createPace } from '../../../shared/runtime/pace.ts';
import type { PgRow } from '../../../shared/values/pg-row.ts';
import { type AsOfRows, type ChunkImage, readAsOfRows } from '../as-of/as-of-queries.ts';
import { keyedRowsQuery, parseRecordKey, readKeyColumns } from '../changes-since/keyed-queries.ts';
import { ExportFailedError, SnapshotGoneError, TableWantedError } from '../extraction-errors.ts';
import { readReferences } from '../plan/references.ts';
import type { ResourceRows, ResourceRowsSource } from '../plan/resource-rows.ts';
import {
  type RowSelection,
  readRequest,
  resourceOf,
  rowsQuery,
  type SqlQuery,
} from '../plan/row-selection.ts';
import {
  isSqlState,
  LOCK_NOT_AVAILABLE,
  type OpenSourceSession,
  type SourceSession,
} from '../source/source-session.ts';
import type { ReadRows, RowReading } from './read-rows.ts';
import {
  type BatchSender,
  createBatchSender,
  type RecordTarget,
  type RowBatch,
  type RowProducer,
  type RowRecord,
} from './send-rows.ts';

/** What a chunk has beside the source. */
export interface ChunkSources {
  /** The record keys of a chunk of an export of changes. */
  readKeys(chunk: ClaimedChunk): Promise<readonly string[]>;
  /** The records that a chunk of an export of a past moment has from events, and the keys of those it does not have. */
  readImages(chunk: ClaimedChunk): Promise<readonly ChunkImage[]>;
}

export interface CopyChunkContext {
  /** Under the export's snapshot. */
  readonly session: SourceSession;
  readonly rows: ResourceRows;
  readonly selection: RowSelection;
  readonly target: RecordTarget;
  readonly sender: Pick<BatchSender<RowRecord>, 'add'>;
  readonly sources: ChunkSources;
  readonly readRows: ReadRows;
  /** Is given the reading before it hands over its first row. */
  onReading(reading: RowReading): void;
  onProgress(rowCount: number): void;
}

/** Reads one chunk's rows and hands them to the sender. They are not acknowledged when this resolves with their number. */
async function copyChunk(
  chunk: ClaimedChunk,
  context: CopyChunkContext,
  signal: AbortSignal,
): Promise<number> {
  const { session, selection, target, sender, sources } = context;
  const { columns, codec, recordKey, keyCasts, accountSql, schemaId } = context.rows;
  const { request } = selection;
  // Of all accounts at once, each row says whose it is; the account column may be a hidden one.
  const isOfAllAccounts = chunk.accountSourceId === null;
  // The rows query says the account itself, which may be a parent's.
  const isByColumns = request.as_of !== null || request.changes_since !== null;
  const wanted = isOfAllAccounts && isByColumns ? [...columns, accountColumn(selection.resource)] : columns;
  const asOfRows: AsOfRows | undefined =
    request.as_of === null
      ? undefined
      : await readAsOfRows(session, selection, wanted, chunk, await sources.readImages(chunk));
  const query =
    asOfRows?.query ??
    (request.changes_since === null
      ? rowsQuery(selection, columns, chunk, {
          keyCasts,
          ...(isOfAllAccounts ? { lastColumn: accountSql } : {}),
        })
      : await changedRowsQuery(chunk, selection, wanted, session, sources));
  const headers = new RowHeadersWriter(chunk);
  headers.account = chunk.accountSourceId ?? '';
  let seq = 0;
  const onRow = (row: PgRow) => {
    if (isOfAllAccounts) headers.account = row.text(columns.length) ?? '';
    headers.seq = seq;
    headers.isLast = seq === chunk.rowsPlanned - 1;
    const imagePlace = asOfRows === undefined ? null : row.text(columns.length);
    if (asOfRows === undefined || imagePlace === null) {
      sender.add({ key: recordKey.ofPgRow(row), value: codec.encodeRow(row, schemaId), headers, target });
    } else {
      const image = asOfRows.imageAt(imagePlace);
      const bytes = codec.encodeWire(image, schemaId);
      sender.add({
        key: recordKey.ofWireTexts(image),
        value: { bytes, length: bytes.length },
        headers,
        target,
      });
    }
    seq += 1;
    context.onProgress(seq);
  };
  const reading = context.readRows(session.client, query, onRow, signal);
  context.onReading(reading);
  return reading.done;
}

/** @throws ExportFailedError for a resource without a column of its own */
function accountColumn({ name, account }: Resource): string {
  if (typeof account === 'string') return account;
  throw new ExportFailedError(
    'invalid_request',
    `${name} has the account of its parent, so only exports of its present state can be of all accounts.`,
  );
}

async function changedRowsQuery(
  chunk: ClaimedChunk,
  selection: RowSelection,
  columns: readonly string[],
  session: SourceSession,
  { readKeys }: ChunkSources,
): Promise<SqlQuery> {
  const keyColumns = await readKeyColumns(session, selection.resource);
  const keys = await readKeys(chunk);
  return keyedRowsQuery(
    selection,
    columns,
    keyColumns,
    keys.map((key) => parseRecordKey(key, keyColumns.length)),
  );
}

export interface CopyChunkBatchDeps extends ChunkSources {
  readonly openSession: OpenSourceSession;
  readonly catalog: Catalog;
  readonly resourceRows: ResourceRowsSource;
  readonly producer: RowProducer;
  readonly readRows: ReadRows;
  topicOf(resource: string): { readonly name: string; readonly partitionCount: number };
  /** Statement timeout of a chunk's read, so that a stalled reader releases its snapshot. */
  readonly chunkTimeoutMs: number;
  /** Called often with the number of rows read so far of the chunk at `index` in the batch. */
  onProgress(index: number, rowCount: number): void;
}

/**
 * Large enough that a request's fixed cost does not matter, small enough that two per reader take little memory. Just
 * below half a megabyte, because the client rounds its buffers up to a power of two.
 */
const BATCH_BYTES = 480 * 1024;

/**
 * Reads a batch of chunks under the export's snapshot, in one session. It sends each chunk's rows to one partition, in
 * key order, numbered from 0, with the last one marked.
 *
 * @returns the number of rows of each chunk, once all are acknowledged
 * @throws ExportFailedError when a chunk has another number of rows than the holder counted
 */
export async function copyChunkBatch(
  batch: ChunkBatch,
  signal: AbortSignal,
  abort: (reason: unknown) => void,
  deps: CopyChunkBatchDeps,
): Promise<readonly number[]> {
  const [first] = batch;
  const request = readRequest(first.request);
  const resources = [...new Set(batch.map(({ resource }) => resource))].map((name) =>
    resourceOf(deps.catalog, name),
  );
  const tables = tablesReadFor(resources);
  const family = first.resources.map((name) => resourceOf(deps.catalog, name));
  await using session = await deps.openSession({
    purpose: `chunk ${first.chunk} ${first.exportId}`,
    statementTimeoutMs: deps.chunkTimeoutMs,
    onLost: abort,
  });
  signal.addEventListener('abort', () => session[Symbol.asyncDispose](), { once: true });
  signal.throwIfAborted();
  await enterSnapshot(session, tables, first);
  const run = `${first.exportId}/${first.runAttempt}`;
  const rowsOf = await deps.resourceRows.ofAll(run, resources, session, family);
  await assertNotRewritten(session, tables);
  const references = request.include_related ? await readReferences(session, family) : [];

  const { max_rows_per_second: maxRowsPerSecond } = request;
  const pace = maxRowsPerSecond === null ? undefined : createPace(maxRowsPerSecond, signal);
  let reading: RowReading | undefined;
  const sender = createBatchSender<RowRecord, RowBatch>({
    maxBytes: BATCH_BYTES,
    openBatch: deps.producer.openBatch,
    // While one batch waits, the next fills up and then the reading pauses, so the pace of sending limits that of reading.
    send: async (records) => {
      await pace?.(records.recordCount);
      await deps.producer.send(records);
    },
    onFull: () => reading?.pause(),
    onDrained: () => reading?.resume(),
    onFailure: abort,
  });
  const rowCounts: number[] = [];
  for (const [index, chunk] of batch.entries()) {
    const resource = resourceOf(deps.catalog, chunk.resource);
    const rows = rowsOf.get(chunk.resource);
    if (rows === undefined) throw new Error(`the rows of ${chunk.resource} are not described`);
    const { name: topic, partitionCount } = deps.topicOf(chunk.resource);
    const rowCount = await copyChunk(
      chunk,
      {
        session,
        rows,
        selection: { resource, request, accountSourceId: chunk.accountSourceId, references },
        target: { topic, partition: chunk.chunk % partitionCount },
        sender,
        sources: deps,
        readRows: deps.readRows,
        onReading: (begun) => {
          reading = begun;
        },
        onProgress: (count) => deps.onProgress(index, count),
      },
      signal,
    );
    rowCounts.push(rowCount);
  }
  await sender.finish();
  await assertNotRewritten(session, tables);
  await session.query('commit');
  for (const [index, chunk] of batch.entries()) {
    const rowCount = rowCounts[index] ?? 0;
    if (rowCount !== chunk.rowsPlanned) throw countMismatch(chunk, rowCount);
  }
  return rowCounts;
}

function countMismatch({ resource, chunk, rowsPlanned }: ClaimedChunk, rowCount: number): ExportFailedError {
  return new ExportFailedError(
    'row_count_mismatch',
    `Chunk ${chunk} of ${resource} has ${rowsPlanned} rows by its keys and ${rowCount} rows by its content: ` +
      'an index of the table may be damaged. Nothing was published.',
  );
}

const INVALID_SNAPSHOT_CODES = ['22023', '42704', '55000'] as const;

/**
 * Imports the export's snapshot into a session. It locks the tables first. Until then the holder's lock, which exists
 * as long as the snapshot can be imported, prevents that anyone truncates or rewrites them.
 *
 * @throws TableWantedError when another session waits for a table
 * @throws SnapshotGoneError when the holder has released the snapshot
 * @throws ExportFailedError when the session does not see exactly the export's snapshot
 */
export async function enterSnapshot(
  session: SourceSession,
  tables: readonly TableName[],
  { snapshotName, snapshot }: { snapshotName: string; snapshot: string },
): Promise<void> {
  await session.query('begin isolation level repeatable read, read only');
  try {
    await session.query(`lock table ${tables.map(quoteTable).join(', ')} in access share mode`);
  } catch (cause) {
    if (isSqlState(cause, LOCK_NOT_AVAILABLE)) throw new TableWantedError('chunk', { cause });
    throw cause;
  }
  try {
    await session.query(`set transaction snapshot ${quoteLiteral(snapshotName)}`);
  } catch (cause) {
    if (isSqlState(cause, ...INVALID_SNAPSHOT_CODES)) throw new SnapshotGoneError(snapshotName, { cause });
    throw cause;
  }
  const { rows } = await session.query('select pg_current_snapshot()::text as snapshot');
  if (rows[0]?.snapshot === snapshot) return;
  throw new ExportFailedError(
    'snapshot_mismatch',
    `A reader got the snapshot ${rows[0]?.snapshot} instead of ${snapshot}. Nothing was published.`,
  );
}

/**
 * Compares the catalogs under the snapshot with `pg_relation_filenode`, which knows the present. If they differ for a
 * table or a partition, its rows have moved to new files, and a read misses the old ones.
 *
 * @throws ExportFailedError
 */
export async function assertNotRewritten(
  session: SourceSession,
  tables: readonly TableName[],
): Promise<void> {
  const { rows } = await session.query(
    `select c.relname from pg_class c
     where c.relkind = 'r' and c.relfilenode is distinct from pg_relation_filenode(c.oid)
       and c.oid in (
         select w.oid from unnest($1::regclass[]) as w(oid)
         union select p.relid from unnest($1::regclass[]) as w(oid), pg_partition_tree(w.oid) p)
     limit 1`,
    [tables.map(quoteTable)],
  );
  const name = rows[0]?.relname;
  if (name === undefined) return;
  throw new ExportFailedError(
    'table_changed',
    `The table ${name} was truncated or rewritten during the export: start the export again.`,
  );
}
