import type { KeyObject } from 'node:crypto';
import type { Pool } from 'pg';
import { askForItems } from '../../../shared/bulk/ask-for-items.ts';
import { HANDLER_TIMEOUT, type HandlerFault } from '../../../shared/bulk/call-handler.ts';
import { doneItems, recordResults } from '../../../shared/bulk/ledger.ts';
import { type ItemResult, NOT_ATTEMPTED } from '../../../shared/domain/bulk.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { RunNow } from './number-items.ts';
import { applicationOf, runCharged, SWEEP_ROWS } from './run-now.ts';

export interface AskNowDeps {
  /** The control store, for quota holds that must be visible outside the request's own transaction. */
  readonly pool: Pool;
  readonly source: Pool;
  /** Time limit for all items together. Unfinished items then fail. */
  readonly limitMs: number;
  /** Keys that sign requests to the handler. */
  readonly signingKeys: readonly KeyObject[];
}

/** Concurrent requests of one synchronous operation. */
const CONCURRENCY = 10;

/**
 * Runs an operation with a handler synchronously. Calls the handler for some items at a time. Items that are
 * not settled at the time limit fail, with a code that says whether the handler was called. Nothing continues
 * after the response.
 *
 * @throws AppError `invalid` when there are more items than the resource's cap, `too_many` when the quota
 *   does not cover them; the handler was then not called
 */
export function askNow(
  db: Queryable,
  { pool, source, limitMs, signingKeys }: AskNowDeps,
  run: RunNow,
  nowMs: number,
): Promise<ItemResult[]> {
  const { ledgerId } = run;
  return runCharged(db, { pool, source }, run, nowMs, async (open, done) => {
    const settled = new Set(done.map(({ seq }) => seq));
    const items = open.filter(({ seq }) => !settled.has(seq));
    const signal = AbortSignal.timeout(limitMs);
    const { unsettled } = await askForItems(applicationOf(run), items, {
      source,
      signal,
      concurrency: CONCURRENCY,
      signingKeys,
      whenAway: 'fail',
    });
    const known = await doneItems(source, ledgerId, 0, SWEEP_ROWS);
    const left = items.filter(({ seq }) => !known.has(seq));
    await recordResults(
      source,
      ledgerId,
      left.map((item) => ({
        ...item,
        status: 'failed' as const,
        ...(unsettled.has(item.seq) ? begun(unsettled.get(item.seq) ?? null, limitMs) : notBegun(limitMs)),
      })),
    );
  });
}

function notBegun(limitMs: number): HandlerFault {
  const message = `The time limit of a synchronous request, ${limitMs / 1_000} s, passed before the handler was called. Send the item again, or use async: true.`;
  return { code: NOT_ATTEMPTED, message };
}

function begun(fault: HandlerFault | null, limitMs: number): HandlerFault {
  const so = fault === null ? 'the handler may have applied it' : fault.message;
  const message = `The handler did not finish the item within the time limit of a synchronous request, ${limitMs / 1_000} s: ${so}`;
  return { code: HANDLER_TIMEOUT, message };
}
