import type { ClaimedChunk } from '../../../shared/control/chunks/claim-chunk.ts';
import { RowHeadersWriter } from '../../../shared/kafka/internals/row-headers.ts';
import type { PgRow } from '../../../shared/values/pg-row.ts';
import { type AsOfRows, type ChunkImage, readAsOfRows } from '../as-of/as-of-queries.ts';
import { keyedRowsQuery, parseRecordKey, readKeyColumns } from '../changes-since/keyed-queries.ts';
import { rowsQuery, type SqlQuery } from '../plan/chunk-queries.ts';
import type { ResourceRows } from '../plan/resource-rows.ts';
import type { RowSelection } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import type { ReadRows, RowReading } from './read-rows.ts';
import type { BatchSender, RecordTarget, RowRecord } from './send-rows.ts';

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
export async function copyChunk(
  chunk: ClaimedChunk,
  context: CopyChunkContext,
  signal: AbortSignal,
): Promise<number> {
  const { session, selection, target, sender, sources } = context;
  const { columns, codec, recordKey, keyCasts, accountSql, schemaId } = context.rows;
  const { request } = selection;
  // Of all accounts at once, each row says whose it is; the account column may be a hidden one.
  const isOfAllAccounts = chunk.accountSourceId === null;
  const wanted = isOfAllAccounts ? [...columns, selection.resource.account] : columns;
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
