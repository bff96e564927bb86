import type { Pool } from 'pg';
import type { NumberedItem } from '../../../shared/bulk/apply-statement.ts';
import { markDuplicates, readItemId } from '../../../shared/bulk/item-ids.ts';
import type { RecordedResult } from '../../../shared/bulk/ledger.ts';
import { type ItemResult, showItemId } from '../../../shared/domain/bulk.ts';
import type { AppError } from '../../../shared/runtime/errors.ts';
import { invalid } from '../http/validate.ts';
import { firstItems } from './estimate-items.ts';
import type { BulkBody, CheckedRequest } from './request.ts';

/** A checked synchronous request. */
export interface RunNow {
  readonly accountId: string;
  readonly sourceId: string;
  readonly ledgerId: string;
  readonly body: BulkBody;
  readonly checked: CheckedRequest;
}

/** A request's items in order: those whose ID alone decides the result, and those to process. */
export interface NumberedItems {
  readonly decided: readonly RecordedResult[];
  readonly open: readonly NumberedItem[];
}

/**
 * @param done results of an earlier attempt of the same request
 * @throws AppError `invalid` when there are more items than the resource's cap
 */
export async function numberItems(
  { body, checked, sourceId }: RunNow,
  source: Pool,
  done: readonly ItemResult[],
): Promise<NumberedItems> {
  const cap = checked.resource.syncLimit;
  if ((body.ids?.length ?? 0) > cap) throw overCap('/ids', cap);
  return checked.filter === undefined
    ? numberIds(body.ids ?? [], checked)
    : numberFiltered(source, checked, checked.filter, sourceId, done);
}

function numberIds(ids: NonNullable<BulkBody['ids']>, { table }: CheckedRequest): NumberedItems {
  const decided: RecordedResult[] = [];
  const open: NumberedItem[] = [];
  for (const [seq, item] of markDuplicates(ids.map((id) => readItemId(id, table.key))).entries()) {
    if ('key' in item) open.push({ seq, itemId: showItemId(item.key), key: item.key, line: null });
    else {
      const status = item.code === 'duplicate' ? 'skipped' : 'failed';
      decided.push({
        seq,
        itemId: item.id,
        status,
        code: item.code,
        message: item.message ?? null,
        line: null,
      });
    }
  }
  return { decided, open };
}

/** A retry may find fewer items, because the first attempt has changed some. Those keep their numbers. */
async function numberFiltered(
  source: Pool,
  { table, resource }: CheckedRequest,
  filter: NonNullable<CheckedRequest['filter']>,
  sourceId: string,
  done: readonly ItemResult[],
): Promise<NumberedItems> {
  const keys = await firstItems(source, table, filter, sourceId, resource.syncLimit + 1);
  if (keys.length > resource.syncLimit) throw overCap('/filter', resource.syncLimit);
  const isDone = new Set(done.map(({ itemId }) => itemId));
  const first = (done.at(-1)?.seq ?? -1) + 1;
  const open = keys
    .map((key) => ({ itemId: showItemId(key), key, line: null }))
    .filter(({ itemId }) => !isDone.has(itemId))
    .map((item, index) => ({ ...item, seq: first + index }));
  return { decided: [], open };
}

function overCap(pointer: string, cap: number): AppError {
  const detail = `a synchronous operation may have at most ${cap} items; send async: true`;
  return invalid([{ pointer, detail }]);
}
