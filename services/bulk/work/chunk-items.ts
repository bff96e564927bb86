import type { NumberedItem } from '../../../shared/bulk/apply-statement.ts';
import { HANDLER_TIMEOUT } from '../../../shared/bulk/call-handler.ts';
import type { RecordedResult } from '../../../shared/bulk/ledger.ts';
import type { ClaimedChunk } from '../../../shared/control/bulk/claim-chunk.ts';
import type { UnsettledChunk } from '../../../shared/control/bulk/end-job.ts';
import { showItemId } from '../../../shared/domain/bulk.ts';

/** Splits a chunk's remaining items: those whose result is known without their row, and those to work on. */
export function splitItems(
  { firstSeq, items }: Pick<ClaimedChunk, 'firstSeq' | 'items'>,
  done: ReadonlySet<number>,
): { decided: RecordedResult[]; open: NumberedItem[] } {
  const decided: RecordedResult[] = [];
  const open: NumberedItem[] = [];
  for (const [index, item] of items.entries()) {
    const seq = firstSeq + index;
    if (done.has(seq)) continue;
    const line = item.line ?? null;
    if ('key' in item) open.push({ seq, itemId: showItemId(item.key), key: item.key, line });
    else {
      const status = item.code === 'duplicate' ? 'skipped' : 'failed';
      decided.push({ seq, itemId: item.id, status, code: item.code, message: item.message ?? null, line });
    }
  }
  return { decided, open };
}

/**
 * The results of a job's started items when it ends early. An item with a result keeps it. For the others it is unknown
 * what the handler did, and a missing result would claim that it did nothing.
 */
export function unansweredItems({
  firstSeq,
  items,
  begun,
}: Pick<UnsettledChunk, 'firstSeq' | 'items' | 'begun'>): RecordedResult[] {
  const isBegun = new Set(begun);
  const { open } = splitItems({ firstSeq, items }, new Set());
  return open
    .filter(({ seq }) => isBegun.has(seq))
    .map((item) => ({
      ...item,
      status: 'failed',
      code: HANDLER_TIMEOUT,
      message: 'The handler did not finish the item before the job ended: it may have applied it.',
    }));
}
