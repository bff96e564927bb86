import type { IHeaders } from 'kafkajs';

/** What a record of the changes topic says of itself, so that a reader may pass over it unread. */
export interface ChangeHeaders {
  readonly resource: string;
  /** The value of the account column; of a truncation, which concerns every account, empty. */
  readonly account: string;
  readonly op: string;
}

const TRUNCATE = 'truncate';

export function toChangeHeaders({ resource, account, op }: ChangeHeaders): IHeaders {
  return { resource, account, op };
}

/**
 * The account that a change is of. Undefined when it may concern every account: a truncation, and what an earlier version
 * wrote without headers.
 */
export function readChangeAccount(headers: IHeaders | undefined): string | undefined {
  if (headers?.account === undefined || headers.op === undefined) return undefined;
  return String(headers.op) === TRUNCATE ? undefined : String(headers.account);
}
