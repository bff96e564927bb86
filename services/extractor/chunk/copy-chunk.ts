import type { ClaimedChunk } from '../../../shared/control/chunks/claim-chunk.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { RowHeadersWriter } from '../../../shared/kafka/internals/row-headers.ts';
import { exceedsRowLimit } from '../../../shared/postgres/size-limit.ts';
import { currentTrace } from '../../../shared/runtime/tracing.ts';
import type { PgRow } from '../../../shared/values/pg-row.ts';
import { type AsOfRows, type ChunkImage, readAsOfRows } from '../as-of/as-of-queries.ts';
import { keyedRowsQuery, parseRecordKey, readKeyColumns } from '../changes-since/keyed-queries.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { ResourceRows } from '../plan/resource-rows.ts';
import { type RowSelection, rowsQuery, type SqlQuery } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import type { ReadRows, RowReading } from './read-rows.ts';
import type { BatchSender, RecordTarget, RowRecord } from './send-rows.ts';

/** The parts of a chunk that do not come from the source. */
export interface ChunkSources {
  /** The record keys of a chunk of a changes-since export. */
  readKeys(chunk: ClaimedChunk): Promise<readonly string[]>;
  /** The records that a chunk of an as-of export takes from events, and the keys for which it has no record. */
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
  /** Called with the reading before its first row. */
  onReading(reading: RowReading): void;
  onProgress(rowCount: number): void;
  /** Called with each row's key, in order. */
  onKey?: ((recordKey: string) => void) | undefined;
}

/** Reads one chunk's rows and passes them to the sender. Resolves with their number, before they are acknowledged. */
export async function copyChunk(
  chunk: ClaimedChunk,
  context: CopyChunkContext,
  signal: AbortSignal,
): Promise<number> {
  const { session, selection, target, sender, sources } = context;
  const { columns, codec, recordKey, keyCasts, accountSql, schemaId } = context.rows;
  const { request } = selection;
  // An export of all accounts writes the account of each row, even if the account column is hidden.
  const isOfAllAccounts = chunk.accountSourceId === null;
  // A chunk with its own snapshot is read in its present state; records of the past replace its rows later. Queries by
  // columns need the account among the columns. The other query adds it itself, because it may be a parent's.
  const isOfPast = request.as_of !== null && chunk.held !== undefined;
  const isByColumns = isOfPast || request.changes_since !== null;
  const wanted = isOfAllAccounts && isByColumns ? [...columns, accountColumn(selection.resource)] : columns;
  const asOfRows: AsOfRows | undefined = isOfPast
    ? await readAsOfRows(session, selection, wanted, chunk, await sources.readImages(chunk))
    : undefined;
  const query =
    asOfRows?.query ??
    (request.changes_since === null
      ? rowsQuery(selection, columns, chunk, {
          keyCasts,
          ...(isOfAllAccounts ? { lastColumn: accountSql } : {}),
        })
      : await changedRowsQuery(chunk, selection, wanted, session, sources));
  const headers = new RowHeadersWriter(chunk, currentTrace()?.traceparent);
  headers.account = chunk.accountSourceId ?? '';
  let seq = 0;
  let lastKey = chunk.lowerKey === null ? undefined : JSON.stringify(chunk.lowerKey);
  const onRow = (row: PgRow) => {
    if (isOfAllAccounts) headers.account = row.text(columns.length) ?? '';
    headers.seq = seq;
    headers.isLast = seq === chunk.rowsPlanned - 1;
    const imagePlace = asOfRows === undefined ? null : row.text(columns.length);
    if (asOfRows === undefined || imagePlace === null) {
      const key = recordKey.ofPgRow(row);
      sender.add({ key, value: codec.encodeRow(row, schemaId), headers, target });
      context.onKey?.(key);
      lastKey = key;
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
  return reading.done.catch((cause: unknown) => {
    throw exceedsRowLimit(cause) ? unprintable(chunk.resource, lastKey, cause) : cause;
  });
}

/** The error for a row that the server can't print. Rows come in key order, so it is the one after `lastKey`. */
function unprintable(resource: string, lastKey: string | undefined, cause: unknown): ExportFailedError {
  const place = lastKey === undefined ? 'The first record' : `The record after the key ${lastKey}`;
  return new ExportFailedError(
    'row_too_large',
    `${place} of ${resource} is larger than PostgreSQL can send, which is 1 GB as text, and a bytea counts twice: ` +
      'make the record smaller, or hide its largest column in the catalog.',
    { cause },
  );
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
