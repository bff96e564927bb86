/** Of a Kafka record, by name. */
export type MessageHeaders = Record<string, Buffer | string | (Buffer | string)[] | undefined>;

// Headers of Kafka records: of rows, of changes, and the type of every other message.

/**
 * Header of a record that is part of a trace, in the form of W3C Trace Context: of every message but rows, and of the last
 * row of a chunk. Webhooks may carry it too.
 */
export const TRACEPARENT = 'traceparent';

export function readTraceparent(headers: MessageHeaders | undefined): string | undefined {
  const value = headers?.[TRACEPARENT];
  return value === undefined ? undefined : String(value);
}

/** Names of the headers of a row. */
export const ROW_HEADERS = {
  export: 'export',
  chunk: 'chunk',
  attempt: 'attempt',
  seq: 'seq',
  account: 'account',
  last: 'last',
  traceparent: TRACEPARENT,
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
  /** Only of the last row. */
  readonly traceparent?: string | undefined;
}

export function toKafkaHeaders(row: RowHeaders): MessageHeaders {
  return {
    [ROW_HEADERS.export]: row.exportId,
    [ROW_HEADERS.chunk]: String(row.chunk),
    [ROW_HEADERS.attempt]: String(row.attempt),
    [ROW_HEADERS.seq]: String(row.seq),
    [ROW_HEADERS.account]: row.account,
    ...(row.isLast ? { [ROW_HEADERS.last]: '1' } : {}),
    ...(row.isLast && row.traceparent !== undefined ? { [TRACEPARENT]: row.traceparent } : {}),
  };
}

/** @returns undefined when the headers are not those of an extracted row */
export function readRowHeaders(headers: MessageHeaders | undefined): RowHeaders | undefined {
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
    ...(last === undefined || headers[TRACEPARENT] === undefined
      ? {}
      : { traceparent: readTraceparent(headers) }),
  };
  return [row.chunk, row.attempt, row.seq].every(Number.isSafeInteger) ? row : undefined;
}

/** What a record of the changes topic says of itself, so that a reader may pass over it unread. */
export interface ChangeHeaders {
  readonly resource: string;
  /** The value of the account column; of a truncation, which concerns every account, empty. */
  readonly account: string;
  readonly op: string;
}

const TRUNCATE = 'truncate';

export function toChangeHeaders({ resource, account, op }: ChangeHeaders): MessageHeaders {
  return { resource, account, op };
}

/** The account of what concerns every account: a truncation, or a record of a shared resource. */
export const EVERY_ACCOUNT = '*';

/**
 * The account that a change is of. Undefined when it may concern every account: a truncation, a record of a shared resource,
 * and what an earlier version wrote without headers.
 */
export function readChangeAccount(headers: MessageHeaders | undefined): string | undefined {
  if (headers?.account === undefined || headers.op === undefined) return undefined;
  const account = String(headers.account);
  return String(headers.op) === TRUNCATE || account === EVERY_ACCOUNT ? undefined : account;
}

/** Header of a change: the chain that it is a link of, and which one. */
export const CHAIN_HEADER = 'chain';

/**
 * Which record of its partition a change is, counted by capture from 1. Offsets can't tell: a topic that was deleted and made
 * again, truncated, or restored from older data, gives its offsets to other records. A reader that finds the next number
 * has lost nothing, whatever happened in between. Capture begins another chain when its own state is lost.
 */
export interface ChainLink {
  /** Greater, as a text, than that of every earlier chain. */
  readonly chain: string;
  readonly seq: number;
}

export function formatChainLink({ chain, seq }: ChainLink): string {
  return `${chain}:${seq}`;
}

/** Undefined for a change that an earlier version wrote. */
export function readChainLink(headers: MessageHeaders | undefined): ChainLink | undefined {
  const [, chain, seq] = /^([0-9a-z]+):([0-9]{1,15})$/.exec(String(headers?.[CHAIN_HEADER] ?? '')) ?? [];
  return chain === undefined ? undefined : { chain, seq: Number(seq) };
}

/** Header of commands, job events and capture's state: the message's record name, so that a reader may pass over it unread. */
export function toTypeHeader(type: string, traceparent?: string): MessageHeaders {
  return traceparent === undefined ? { type } : { type, [TRACEPARENT]: traceparent };
}

/** Empty without the header. */
export function readTypeHeader(headers: { readonly type?: unknown } | undefined): string {
  return String(headers?.type ?? '');
}
