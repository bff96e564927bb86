import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { ChangeMessage } from './change-messages.ts';
import type { EndedTransaction } from './transactions.ts';

/** What goes into one Kafka transaction, beside the state. */
export interface Batch {
  readonly changes: ChangeMessage[];
  readonly seals: { readonly jobId: string; readonly token: string; readonly commitLsn: Lsn }[];
  /** Of the changes' values. */
  bytes: number;
}

export function createBatch(): Batch {
  return { changes: [], seals: [], bytes: 0 };
}

export function isEmpty(batch: Batch): boolean {
  return batch.changes.length === 0 && batch.seals.length === 0;
}

export function addSeals(batch: Batch, { seals, commitLsn }: EndedTransaction): void {
  for (const seal of seals) batch.seals.push({ ...seal, commitLsn });
}
