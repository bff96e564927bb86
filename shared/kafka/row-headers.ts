import type { IHeaders } from 'kafkajs';

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
    export: row.exportId,
    chunk: String(row.chunk),
    attempt: String(row.attempt),
    seq: String(row.seq),
    account: row.account,
    ...(row.isLast ? { last: '1' } : {}),
  };
}

/** @returns undefined when the headers are not those of an extracted row */
export function readRowHeaders(headers: IHeaders | undefined): RowHeaders | undefined {
  if (headers === undefined) return undefined;
  const { export: exportId, chunk, attempt, seq, account, last } = headers;
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
