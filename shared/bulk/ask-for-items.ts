import type { Pool } from 'pg';
import { abortAfter } from './abort-after.ts';
import type { Application, NumberedItem } from './apply-statement.ts';
import { callHandler, type HandlerCall, type HandlerFault } from './call-handler.ts';
import { checkStatement } from './check-statement.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { createItemSupply } from './item-supply.ts';
import { type NotedResult, noteResults } from './ledger.ts';
import type { BulkOperation } from './operation.ts';
import { createRetryQueue } from './retry-queue.ts';
import { runLines } from './run-lines.ts';

export interface AskOptions {
  readonly source: Pool;
  /** Aborts when nothing is to go on: requests under way are broken off. */
  readonly signal: AbortSignal;
  /** Aborts when no item is to be begun any more, while requests under way are waited for. */
  readonly calledOff?: AbortSignal;
  /** Requests at once. */
  readonly concurrency: number;
  /** Asked before the handler is asked for items; false has the effect of `calledOff`. */
  begin?(items: readonly NumberedItem[]): Promise<boolean>;
}

/**
 * How long requests under way are waited for once no more are sent. Whoever cancels wants an end within seconds; an answer that
 * is not waited for leaves an effect of which nobody knows.
 */
const LAST_ANSWERS_MS = 5_000;

/**
 * Asks the operation's handler for each item and writes what came of it into the ledger as soon as it is known. A crash between the
 * two asks again with the same `Idempotency-Key`, which is what makes the handler's effect one. When a result can't be written, no
 * further item is asked for, and what went wrong is thrown when no request is under way any more.
 *
 * @returns the places of items that were asked for when the signal came, with what was in the way so far; those and the ones
 *   that were not asked for have no ledger row
 */
export async function askForItems(
  application: Application,
  items: readonly NumberedItem[],
  options: AskOptions,
): Promise<ReadonlyMap<number, HandlerFault | null>> {
  const { source, signal, calledOff, concurrency } = options;
  const { operation, jobId } = application;
  if (operation.kind !== 'http') throw new RangeError('only HTTP operations have a handler');
  const failure = new AbortController();
  const refusal = new AbortController();
  const noMore = AbortSignal.any([signal, failure.signal, refusal.signal, ...(calledOff ? [calledOff] : [])]);
  using lastAnswers = abortAfter(noMore, LAST_ANSWERS_MS);
  const over = AbortSignal.any([signal, lastAnswers.signal]);
  const supply = createItemSupply(items, {
    look: (left) => leaveOutRefused(source, application, left),
    async begin(next) {
      const mayBegin = (await options.begin?.(next)) ?? true;
      if (!mayBegin) refusal.abort();
      return mayBegin;
    },
    now: performance.now.bind(performance),
  });
  const later = createRetryQueue();
  const unsettled = new Map<number, HandlerFault | null>();
  await runLines(Math.min(concurrency, items.length), failure, async () => {
    // Lines share what there is to do, so that an item which hangs holds up its own line only.
    while (!noMore.aborted) {
      const item = await supply.next();
      const turn = item === undefined ? await later.next(noMore) : { item, tryCount: 1 };
      if (turn === undefined) return;
      unsettled.set(turn.item.seq, unsettled.get(turn.item.seq) ?? null);
      const answer = await callHandler(callOf(application, operation, turn.item), over);
      if (answer.status === 'stopped') return;
      if (answer.status === 'failed' && !answer.isFinal && later.add(turn)) {
        unsettled.set(turn.item.seq, answer.fault);
        continue;
      }
      const { code, message } = answer.status === 'failed' ? answer.fault : { code: null, message: null };
      await noteResults(source, jobId, [{ ...turn.item, status: answer.status, code, message }]);
      unsettled.delete(turn.item.seq);
    }
  });
  return unsettled;
}

/** Writes down which items there is a reason to leave alone. @returns the others */
async function leaveOutRefused(
  source: Pool,
  application: Application,
  items: readonly NumberedItem[],
): Promise<NumberedItem[]> {
  const { text, values } = checkStatement(application, items);
  const { rows } = await source.query<{ seq: string; code: string | null }>(text, [...values]);
  const codes = new Map(rows.map(({ seq, code }) => [Number(seq), code]));
  const refused = items.flatMap((item): NotedResult[] => {
    const code = codes.get(item.seq) ?? null;
    if (code === null) return [];
    const isMissing = code === 'not_found';
    const message = isMissing ? 'There is no such record.' : null;
    return [{ ...item, status: isMissing ? 'failed' : 'skipped', code, message }];
  });
  await noteResults(source, application.jobId, refused);
  return items.filter(({ seq }) => (codes.get(seq) ?? null) === null);
}

function callOf(
  { jobId, table, sourceId, params }: Application,
  { url, timeoutMs }: Extract<BulkOperation, { kind: 'http' }>,
  { itemId, key }: NumberedItem,
): HandlerCall {
  return {
    url,
    timeoutMs,
    idempotencyKey: idempotencyKeyOf(jobId, itemId),
    body: {
      job_id: jobId,
      resource: table.resource.name,
      item_id: itemId,
      key: Object.fromEntries(table.key.map(({ name }, index) => [name, key[index]])),
      account: sourceId,
      params,
    },
  };
}
