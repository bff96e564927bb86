import type { IHeaders } from 'kafkajs';

/** Names of the headers of a row. */
export const ROW_HEADERS = {
  export: 'export',
  chunk: 'chunk',
  attempt: 'attempt',
  seq: 'seq',
  account: 'account',
  last: 'last',
} as const;

/** Which row of which try of which chunk a record of `rows.<resource>` is. */
export interface RowHeaders {
  readonly exportId: string;
  readonly chunk: number;
  /** The chunk's try; a higher number is always the later one. */
  readonly attempt: number;
  /** Place in the chunk, from 0, without gaps. */
  readonly seq: number;
  readonly account: string;
  /** Set on the chunk's last row, so that no marker record is needed in a topic which others read. */
  readonly isLast: boolean;
}

export function toKafkaHeaders(row: RowHeaders): IHeaders {
  return {
    [ROW_HEADERS.export]: row.exportId,
    [ROW_HEADERS.chunk]: String(row.chunk),
    [ROW_HEADERS.attempt]: String(row.attempt),
    [ROW_HEADERS.seq]: String(row.seq),
    [ROW_HEADERS.account]: row.account,
    ...(row.isLast ? { [ROW_HEADERS.last]: '1' } : {}),
  };
}

/** @returns undefined when the headers are not those of an extracted row */
export function readRowHeaders(headers: IHeaders | undefined): RowHeaders | undefined {
  if (headers === undefined) return undefined;
  const {
    [ROW_HEADERS.export]: exportId,
    [ROW_HEADERS.chunk]: chunk,
    [ROW_HEADERS.attempt]: attempt,
    [ROW_HEADERS.seq]: seq,
    [ROW_HEADERS.account]: account,
    [ROW_HEADERS.last]: last,
  } = headers;
  if (exportId === undefined || chunk === undefined || attempt === undefined || seq === undefined)
    return undefined;
  const row = {
    exportId: String(exportId),
    chunk: Number(chunk),
    attempt: Number(attempt),
    seq: Number(seq),
    account: String(account ?? ''),
    isLast: last !== undefined,
  };
  return [row.chunk, row.attempt, row.seq].every(Number.isSafeInteger) ? row : undefined;
}
