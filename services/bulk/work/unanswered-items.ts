import { HANDLER_TIMEOUT } from '../../../shared/bulk/call-handler.ts';
import type { RecordedResult } from '../../../shared/bulk/ledger.ts';
import type { UnsettledChunk } from '../../../shared/control/bulk/end-job.ts';
import { splitItems } from './work-chunk.ts';

/**
 * What is noted of a job's begun items when it ends before its time. Those with a result keep it; of the others nobody knows what the
 * handler has done, and to leave them out would tell the customer that it has done nothing.
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
