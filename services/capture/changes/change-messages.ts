import type { Message } from 'kafkajs';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import type { Change } from '../../../shared/domain/change.ts';
import { toChangeHeaders } from '../../../shared/protocol/headers.ts';
import { UnencodableRowError } from '../../../shared/values/row-body.ts';
import { UnreadableTextError } from '../../../shared/values/unreadable-text-error.ts';
import type { EncodableTable } from './tables.ts';

/** A record of the changes topic with its partition. */
export type ChangeMessage = Message & {
  readonly key: string;
  readonly value: Buffer;
  readonly partition: number;
};

/**
 * A change as records of the changes topic: one on its account's partition, or, when it concerns every account, the
 * same one on each partition, since no consumer reads them all.
 */
export function changeMessages(
  table: Pick<EncodableTable, 'encode' | 'recordKey'>,
  change: Change,
  partitionCount: number,
): ChangeMessage[] {
  const { op, account, resource } = change;
  const row = change.after ?? change.before;
  const record = {
    key: `${account}/${resource}/${row === null ? '[]' : table.recordKey(row)}`,
    value: table.encode(change),
    headers: toChangeHeaders({ resource, account, op }),
  };
  if (row !== null) return [{ ...record, partition: accountPartition(account, partitionCount) }];
  return Array.from({ length: partitionCount }, (_, partition) => ({ ...record, partition }));
}

/** A change that the topic does not take: its resource is set aside. */
class ChangeTooLargeError extends Error {
  override readonly name = 'ChangeTooLargeError';

  constructor(bytes: number, limitBytes: number) {
    super(
      `the change has ${bytes} bytes, and the changes topic takes ${limitBytes}: raise its max.message.bytes above that, and ` +
        "the brokers' replica.fetch.max.bytes with it, then restart capture; or make the row smaller, or hide its largest column",
    );
  }
}

/** Room for a record's headers, and for the state and the record batch's own header. */
const RECORD_OVERHEAD_BYTES = 150;
const REQUEST_OVERHEAD_BYTES = 1_000;

/** What changes of one request may take, of the topic's `max.message.bytes`. */
export function requestLimitBytes(maxMessageBytes: number): number {
  return maxMessageBytes - REQUEST_OVERHEAD_BYTES;
}

export function changeBytes({ key, value }: Pick<ChangeMessage, 'key' | 'value'>): number {
  return value.length + Buffer.byteLength(key) * 2 + RECORD_OVERHEAD_BYTES;
}

/** @throws ChangeTooLargeError for a change that would not go into a request of its own */
export function requireFits(message: Pick<ChangeMessage, 'key' | 'value'>, limitBytes: number): void {
  const bytes = changeBytes(message);
  if (bytes > limitBytes) throw new ChangeTooLargeError(bytes, limitBytes);
}

/** A change that cannot be sent. The message names the column or the size, and no value. */
export type RowFlaw = UnencodableRowError | UnreadableTextError | ChangeTooLargeError;

/** Whether an error is the row's fault; any other error is ours or transient. */
export function isRowFlaw(error: unknown): error is RowFlaw {
  return (
    error instanceof UnencodableRowError ||
    error instanceof UnreadableTextError ||
    error instanceof ChangeTooLargeError
  );
}

export function describeFlaw(flaw: RowFlaw): string {
  const { cause } = flaw;
  return cause instanceof UnreadableTextError ? `${flaw.message}: ${cause.message}` : flaw.message;
}
