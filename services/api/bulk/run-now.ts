import { createHash, randomBytes } from 'node:crypto';
import type { Pool } from 'pg';
import { applyItems } from '../../../shared/bulk/apply-items.ts';
import type { Application, NumberedItem } from '../../../shared/bulk/apply-statement.ts';
import { markDuplicates, readItemId } from '../../../shared/bulk/item-ids.ts';
import {
  type NotedResult,
  noteResults,
  readResults,
  SYNC_PREFIX,
  sweepLedger,
} from '../../../shared/bulk/ledger.ts';
import { type ItemResult, quotaMonth, quotaResetsAt, showItemId } from '../../../shared/domain/bulk.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { lockQuota, moveQuota } from '../../../shared/store/bulk-quota.ts';
import { canonicalJson } from '../http/canonical-json.ts';
import { invalid } from '../http/validate.ts';
import type { BulkBody } from '../requests/bulk-request.ts';
import type { CheckedRequest } from './check-request.ts';
import { firstItems } from './estimate-items.ts';

export interface RunNow {
  readonly accountId: string;
  readonly sourceId: string;
  readonly ledgerId: string;
  readonly body: BulkBody;
  readonly checked: CheckedRequest;
}

/** An answer comes before the connections in between give up. */
const TIME_LIMIT_MS = 20_000;

/** More than the greatest cap, which the catalog's schema holds. */
const SWEEP_ROWS = 20_000;

/**
 * The ledger's name for a synchronous request. The same for a retry with the same Idempotency-Key and body: if the first try
 * died after the change was committed and before its answer was kept, the retry finds the ledger's rows, and changes nothing.
 */
export function ledgerIdOf(accountId: string, idempotencyKey: string | undefined, body: unknown): string {
  const random = idempotencyKey === undefined ? randomBytes(16).toString('hex') : '';
  const text = [accountId, idempotencyKey ?? '', canonicalJson(body), random].join('\n');
  return `${SYNC_PREFIX}${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

/**
 * A bulk operation at once, by a path of its own: one statement, no job, no worker.
 *
 * @throws AppError `invalid` when there are more items than the resource's cap, with nothing applied; `too_many` when the
 *   quota does not cover them
 */
export async function runNow(
  db: Queryable,
  source: Pool,
  { accountId, sourceId, ledgerId, body, checked }: RunNow,
  nowMs: number,
): Promise<ItemResult[]> {
  const { resource, table, operation, filter } = checked;
  const cap = resource.syncLimit;
  if (operation.kind === 'http') {
    throw invalid([{ pointer: '/async', detail: 'this operation calls a handler and needs async: true' }]);
  }
  if ((body.ids?.length ?? 0) > cap) throw overCap('/ids', cap);
  const done = await readResults(source, ledgerId, { status: undefined, afterSeq: -1, limit: SWEEP_ROWS });
  const { decided, open } =
    filter === undefined
      ? numberIds(body.ids ?? [], checked)
      : await numberFiltered(source, checked, filter, sourceId, done);
  const month = quotaMonth(nowMs);
  await requireQuota(db, accountId, month, open.length, nowMs);
  await noteResults(source, ledgerId, decided);
  const application: Application = {
    jobId: ledgerId,
    table,
    operation,
    params: body.params,
    liveFilter: undefined,
    sourceId,
  };
  const limit = AbortSignal.timeout(TIME_LIMIT_MS);
  await applyItems(application, open, {
    source,
    signal: limit,
    isStillOurs: () => !limit.aborted,
    isAnnounced: false,
  });
  const results = await readResults(source, ledgerId, { status: undefined, afterSeq: -1, limit: SWEEP_ROWS });
  const used = results.filter(({ status }) => status !== 'skipped').length;
  await moveQuota(db, accountId, month, { used, reserved: 0 });
  return results;
}

/** Once the answer is kept, nobody asks the ledger any more. */
export async function forgetRun(source: Pool, ledgerId: string): Promise<void> {
  await sweepLedger(source, ledgerId, SWEEP_ROWS);
}

function numberIds(
  ids: NonNullable<BulkBody['ids']>,
  { table }: CheckedRequest,
): { decided: NotedResult[]; open: NumberedItem[] } {
  const decided: NotedResult[] = [];
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

/** A retry may find fewer items, because the first try has changed some; those it did keep their places. */
async function numberFiltered(
  source: Pool,
  { table, resource }: CheckedRequest,
  filter: NonNullable<CheckedRequest['filter']>,
  sourceId: string,
  done: readonly ItemResult[],
): Promise<{ decided: NotedResult[]; open: NumberedItem[] }> {
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
  const detail = `more than ${cap} items at once are not possible here; send async: true`;
  return invalid([{ pointer, detail }]);
}

async function requireQuota(
  db: Queryable,
  accountId: string,
  month: string,
  wanted: number,
  nowMs: number,
): Promise<void> {
  const { limit, used, reserved } = await lockQuota(db, accountId, month);
  const remaining = limit === null ? Number.POSITIVE_INFINITY : Math.max(0, limit - used - reserved);
  if (wanted <= remaining) return;
  const resetsAt = quotaResetsAt(nowMs);
  throw new AppError(
    'too_many',
    `${wanted} items are asked for, and the quota of this month has ${remaining} left; nothing was changed.`,
    {
      retryAfterSeconds: Math.ceil((resetsAt.getTime() - nowMs) / 1_000),
      extra: { quota: { limit, used, remaining, resets_at: resetsAt.toISOString() } },
    },
  );
}
