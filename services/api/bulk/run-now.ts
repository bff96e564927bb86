import { createHash, randomBytes } from 'node:crypto';
import type { Pool } from 'pg';
import { applyItems } from '../../../shared/bulk/apply-items.ts';
import type { Application, NumberedItem } from '../../../shared/bulk/apply-statement.ts';
import {
  doneItems,
  readResults,
  recordResults,
  SYNC_PREFIX,
  sweepLedger,
} from '../../../shared/bulk/ledger.ts';
import { toColumnParams } from '../../../shared/bulk/public-params.ts';
import { STATEMENT_TIMEOUT_MS } from '../../../shared/bulk/source-pool.ts';
import {
  type BulkQuota,
  holdQuota,
  lockQuota,
  moveQuota,
  releaseHold,
} from '../../../shared/control/bulk/bulk-quota.ts';
import { costsQuota, type ItemResult, NOT_ATTEMPTED } from '../../../shared/domain/bulk.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { canonicalJson } from '../http/idempotency.ts';
import { numberItems, type RunNow } from './number-items.ts';
import { isSourceAway } from './source-errors.ts';

/**
 * The source's own statement timeout is a little later than this limit, so that this limit is the one that
 * takes effect.
 */
const STATEMENT_MARGIN_MS = 100;

/** Longer than any request, so that a hold expires only after its process has died. */
const HOLD_SECONDS = 60;

export interface RunNowDeps {
  /** The control store, for quota holds that must be visible outside the request's own transaction. */
  readonly pool: Pool;
  readonly source: Pool;
  /** Time limit for all items together: the response must come before connections on its way time out. */
  readonly limitMs: number;
}

/** More than the largest cap that the catalog's schema allows. */
export const SWEEP_ROWS = 20_000;

/**
 * The ledger's ID of a synchronous request. A retry with the same Idempotency-Key and body has the same ID.
 * If the first attempt died after it committed the change and before its response was kept, the retry finds
 * the ledger's rows and changes nothing.
 */
export function ledgerIdOf(accountId: string, idempotencyKey: string | undefined, body: unknown): string {
  if (idempotencyKey === undefined) return `${SYNC_PREFIX}${randomBytes(16).toString('hex')}`;
  const text = [accountId, idempotencyKey, canonicalJson(body), ''].join('\n');
  return `${SYNC_PREFIX}${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

/**
 * Runs an operation synchronously: one statement, no job, no worker. Items fail and stay unchanged if they
 * are not done at the time limit, or if the source refuses further statements after some are done. Every item
 * has a result in any case.
 *
 * @throws AppError `invalid` when there are more items than the resource's cap, with nothing applied;
 *   `too_many` when the quota does not cover them
 */
export function runNow(db: Queryable, deps: RunNowDeps, run: RunNow, nowMs: number): Promise<ItemResult[]> {
  return runCharged(db, deps, run, nowMs, (open) => applyInTime(deps.source, run, open, deps.limitMs));
}

/**
 * Numbers a request's items, lets `work` process the open ones, and charges the account for them and for those that an
 * earlier attempt of the request has processed.
 *
 * @param work gets the open items, and the results of an earlier attempt, which may include some of these
 * @throws AppError `invalid` when there are more items than the resource's cap, `too_many` when the quota does not cover
 *   them; the error of `work`, without a charge
 */
export async function runCharged(
  db: Queryable,
  { pool, source }: Pick<RunNowDeps, 'pool' | 'source'>,
  run: RunNow,
  nowMs: number,
  work: (open: readonly NumberedItem[], done: readonly ItemResult[]) => Promise<void>,
): Promise<ItemResult[]> {
  const { accountId, ledgerId } = run;
  const readAll = () => readResults(source, ledgerId, { status: undefined, afterSeq: -1, limit: SWEEP_ROWS });
  const done = await readAll();
  const { decided, open } = await numberItems(run, source, done);
  const isOpen = new Set(open.map(({ seq }) => seq));
  const earlier = done.filter((result) => costsQuota(result) && !isOpen.has(result.seq)).length;
  const span = await holdForRun(pool, run, open.length + earlier, nowMs);
  let results: ItemResult[];
  try {
    await recordResults(source, ledgerId, decided);
    await work(open, done);
    results = await readAll();
  } catch (error) {
    await dropHold(pool, run);
    throw error;
  }
  const used = results.filter(costsQuota).length;
  // In the request's own transaction, together with its stored response.
  await moveQuota(db, accountId, span, { used, reserved: 0 });
  await releaseHold(db, ledgerId);
  return results;
}

/**
 * Reserves quota for a request in a transaction of its own, so that neither other requests nor jobs of the
 * account wait for the end of this request.
 *
 * @returns the quota period that is charged
 * @throws AppError `too_many` when the quota does not cover the items
 */
async function holdForRun(
  pool: Pool,
  { accountId, ledgerId }: RunNow,
  items: number,
  nowMs: number,
): Promise<BulkQuota['span']> {
  return inTransaction(pool, async (short) => {
    // Releases the hold of an earlier attempt.
    await releaseHold(short, ledgerId);
    const { span } = await requireQuota(short, accountId, items, nowMs);
    await holdQuota(short, { id: ledgerId, accountId, span, items }, HOLD_SECONDS);
    return span;
  });
}

/** The hold would expire by itself, but would block a retry until then. */
async function dropHold(pool: Pool, { ledgerId }: RunNow): Promise<void> {
  await releaseHold(pool, ledgerId).catch(() => undefined);
}

/** Applies the operation within the time limit. Afterwards each item has a result. */
async function applyInTime(
  source: Pool,
  run: RunNow,
  items: readonly NumberedItem[],
  limitMs: number,
): Promise<void> {
  const signal = AbortSignal.timeout(limitMs);
  const endsAtMs = performance.now() + limitMs;
  let reason = `the time limit of a synchronous request, ${limitMs / 1_000} s, passed`;
  try {
    await applyItems(applicationOf(run), items, {
      source,
      signal,
      whenHeld: 'fail',
      isStillOurs: () => !signal.aborted,
      isAnnounced: false,
      statementLimitMs: () =>
        Math.min(STATEMENT_TIMEOUT_MS, Math.max(0, endsAtMs - performance.now()) + STATEMENT_MARGIN_MS),
    });
  } catch (error) {
    if (!isSourceAway(error)) throw error;
    if (!signal.aborted) reason = 'the source database refused further statements';
    const known = await doneItems(source, run.ledgerId, 0, SWEEP_ROWS);
    const left = items.filter(({ seq }) => !known.has(seq));
    // Nothing was done, so the client can send the same request again.
    if (!signal.aborted && left.length === items.length) throw error;
    const message = `The record is unchanged, because ${reason}. Send the item again, or use async: true.`;
    const fault = { status: 'failed' as const, code: NOT_ATTEMPTED, message };
    await recordResults(
      source,
      run.ledgerId,
      left.map((item) => ({ ...item, ...fault })),
    );
  }
}

/** The change that a synchronous request makes. Its filter was just evaluated and is not evaluated again. */
export function applicationOf({ ledgerId, sourceId, body, checked }: RunNow): Application {
  const { table, operation } = checked;
  const params = toColumnParams(table.resource, operation, body.params);
  return { jobId: ledgerId, table, operation, params, liveFilter: undefined, sourceId };
}

/** Once the response is stored, nobody reads the ledger's rows. */
export async function forgetRun(source: Pool, ledgerId: string): Promise<void> {
  await sweepLedger(source, ledgerId, SWEEP_ROWS);
}

/**
 * Locks the account's quota of the present period until the transaction ends.
 *
 * @throws AppError `too_many` when it does not cover the items
 */
async function requireQuota(
  db: Queryable,
  accountId: string,
  wanted: number,
  nowMs: number,
): Promise<BulkQuota> {
  const quota = await lockQuota(db, accountId, nowMs);
  const { limit, used, reserved, resetsAt } = quota;
  const remaining = limit === null ? Number.POSITIVE_INFINITY : Math.max(0, limit - used - reserved);
  if (wanted <= remaining) return quota;
  throw new AppError(
    'too_many',
    `The request has ${wanted} items, and the quota of this period has ${remaining} left. No record was changed.`,
    {
      retryAfterSeconds: Math.ceil((resetsAt.getTime() - nowMs) / 1_000),
      extra: { quota: { limit, used, remaining, resets_at: resetsAt.toISOString() } },
    },
  );
}
