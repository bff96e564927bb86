import type { Catalog } from '../../../shared/domain/catalog.ts';
import { createPace } from '../../../shared/runtime/pace.ts';
import type { PgRow } from '../../../shared/values/pg-row.ts';
import type { ChunkImage } from '../as-of/affected-keys.ts';
import { type PastRows, readPastRows } from '../as-of/past-rows.ts';
import { rowsQuery, type SqlQuery } from '../chunk-queries.ts';
import { parseRecordKey, readKeyColumns } from '../delta/key-columns.ts';
import { keyedRowsQuery } from '../delta/keyed-queries.ts';
import { parseExportRequest, resourceOf } from '../export-request.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { readReferences } from '../references.ts';
import type { RowSelection } from '../row-selection.ts';
import type { OpenSourceSession, SourceSession } from '../source-session.ts';
import type { ClaimedChunk } from '../store/claim-chunk.ts';
import { createBatchSender } from './batch-sender.ts';
import { assertNotRewritten, enterSnapshot } from './enter-snapshot.ts';
import { readRows } from './read-rows.ts';
import { type KafkaRecord, RecordBatch } from './record-batch.ts';
import type { ResourceRowsSource } from './resource-rows.ts';
import { RowHeadersWriter } from './row-headers-writer.ts';
import type { RowProducer } from './row-producers.ts';

export interface CopyChunkDeps {
  readonly openSession: OpenSourceSession;
  readonly catalog: Catalog;
  readonly resourceRows: ResourceRowsSource;
  readonly producer: RowProducer;
  readonly topic: { readonly name: string; readonly partitionCount: number };
  /** Limit of the chunk's one read, so that a reader that stands still gives its snapshot back. */
  readonly chunkTimeoutMs: number;
  /** The record keys of a chunk of an export of changes. */
  readKeys(chunk: ClaimedChunk): Promise<readonly string[]>;
  /** The records that a chunk of an export of a past moment has from events, and the keys of those it does not have. */
  readImages(chunk: ClaimedChunk): Promise<readonly ChunkImage[]>;
  /** Called often with the number of rows read so far. */
  onProgress(rowCount: number): void;
}

/**
 * Large enough that requests do not count, small enough that two of them a chunk are little memory. A little less than half a
 * megabyte, because the client rounds each of its buffers up to a power of two.
 */
const BATCH_BYTES = 480 * 1024;

/**
 * Reads a chunk under the export's snapshot and sends its rows, in key order, numbered from 0, to one partition, the last
 * one marked. Resolves with the number of rows once all are acknowledged.
 *
 * @throws ExportFailedError when the rows are not as many as the snapshot's own cursor had counted
 */
export async function copyChunk(
  chunk: ClaimedChunk,
  signal: AbortSignal,
  abort: (reason: unknown) => void,
  deps: CopyChunkDeps,
): Promise<number> {
  const resource = resourceOf(deps.catalog, chunk.resource);
  const request = parseExportRequest(chunk.request);
  await using session = await deps.openSession({
    purpose: `chunk ${chunk.chunk} ${chunk.exportId}`,
    statementTimeoutMs: deps.chunkTimeoutMs,
    onLost: abort,
  });
  signal.addEventListener('abort', () => session[Symbol.asyncDispose](), { once: true });
  signal.throwIfAborted();
  await enterSnapshot(session, resource.table, chunk);
  const run = `${chunk.exportId}/${chunk.runAttempt}`;
  const family = chunk.resources.map((name) => resourceOf(deps.catalog, name));
  const { columns, codec, recordKey, keyCasts, accountSql, schemaId } = await deps.resourceRows.of(
    run,
    resource,
    session,
    family,
  );
  await assertNotRewritten(session, resource.table);

  // Of all accounts at once, each row says whose it is; the account column may be a hidden one.
  const isOfAllAccounts = chunk.accountSourceId === null;
  const references = request.includeRelated ? await readReferences(session, family) : [];
  const selection = { resource, request, accountSourceId: chunk.accountSourceId, references };
  const wanted = isOfAllAccounts ? [...columns, resource.account] : columns;
  const past: PastRows | undefined =
    request.asOf === null
      ? undefined
      : await readPastRows(session, selection, wanted, chunk, await deps.readImages(chunk));
  const query =
    past?.query ??
    (request.changesSince === null
      ? rowsQuery(selection, columns, chunk, {
          keyCasts,
          ...(isOfAllAccounts ? { lastColumn: accountSql } : {}),
        })
      : await changedRowsQuery(chunk, selection, wanted, session, deps));
  const { maxRowsPerSecond } = request;
  const pace = maxRowsPerSecond === null ? undefined : createPace(maxRowsPerSecond, signal);
  const partition = chunk.chunk % deps.topic.partitionCount;
  const headers = new RowHeadersWriter(chunk);
  headers.account = chunk.accountSourceId ?? '';
  let seq = 0;
  const onRow = (row: PgRow) => {
    if (isOfAllAccounts) headers.account = row.text(columns.length) ?? '';
    headers.seq = seq;
    headers.isLast = seq === chunk.rowsPlanned - 1;
    const place = past === undefined ? null : row.text(columns.length);
    if (past === undefined || place === null) {
      sender.add({ key: recordKey.ofPgRow(row), value: codec.encodeRow(row, schemaId), headers });
    } else {
      const image = past.imageAt(place);
      const bytes = codec.encodeWire(image, schemaId);
      sender.add({ key: recordKey.ofWireTexts(image), value: { bytes, length: bytes.length }, headers });
    }
    seq += 1;
    deps.onProgress(seq);
  };
  const sender = createBatchSender<KafkaRecord, RecordBatch>({
    maxBytes: BATCH_BYTES,
    openBatch: () => new RecordBatch(partition),
    // While a batch waits for its turn the next fills up and then the reading pauses, so the pace of sending is that of reading.
    send: async (batch) => {
      await pace?.(batch.recordCount);
      await deps.producer.send(deps.topic.name, batch);
    },
    onFull: () => reading.pause(),
    onRoom: () => reading.resume(),
    onFailure: abort,
  });
  const reading = readRows(session.client, query, onRow, signal);
  const rowCount = await reading.done;
  await sender.finish();
  await assertNotRewritten(session, resource.table);
  await session.query('commit');
  if (rowCount !== chunk.rowsPlanned) throw countMismatch(chunk, rowCount);
  return rowCount;
}

async function changedRowsQuery(
  chunk: ClaimedChunk,
  selection: RowSelection,
  columns: readonly string[],
  session: SourceSession,
  { readKeys }: CopyChunkDeps,
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

function countMismatch({ resource, chunk, rowsPlanned }: ClaimedChunk, rowCount: number): ExportFailedError {
  return new ExportFailedError(
    'row_count_mismatch',
    `Chunk ${chunk} of ${resource} has ${rowsPlanned} rows by its keys and ${rowCount} rows by its contents: ` +
      'an index of the table may be damaged. Nothing was published.',
  );
}
