import type { Message } from 'kafkajs';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import type { Change } from '../../../shared/domain/change.ts';
import { toChangeHeaders } from '../../../shared/protocol/change-headers.ts';
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
