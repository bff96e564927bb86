import type { KeyObject } from 'node:crypto';
import type { Pool } from 'pg';
import { type Application, checkStatement, type NumberedItem } from './apply-statement.ts';
import { callHandler, type HandlerCall, type HandlerFault } from './call-handler.ts';
import { createHandlerBreaker, LONG_REST_MS } from './handler-breaker.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { createItemSupply } from './item-supply.ts';
import { type RecordedResult, recordResults } from './ledger.ts';
import type { BulkOperation } from './operation.ts';
import { createRetryQueue, type Turn } from './retry-queue.ts';

export interface AskOptions {
  readonly source: Pool;
  /** Aborts when nothing is to go on: requests under way are broken off. */
  readonly signal: AbortSignal;
  /** Aborts when no item is to be begun any more, while requests under way are waited for. */
  readonly calledOff?: AbortSignal;
  /** Requests at once. */
  readonly concurrency: number;
  /** Keys that requests are signed with. */
  readonly signingKeys: readonly KeyObject[];
  /**
   * `leave`: once the handler is away as a whole nothing more is asked of it, and what is left has no result; with `probe` the
   * first item is asked for alone, because it was away a moment ago. `fail`: each item has its attempts, then fails.
   */
  readonly whenAway: 'leave' | 'probe' | 'fail';
  /** Told of each answer, whatever it was. */
  onAnswered?(): void;
  /** Asked before the handler is asked for items; false has the effect of `calledOff`. */
  begin?(items: readonly NumberedItem[]): Promise<boolean>;
}

/** What is left when the asking is over. */
export interface Asking {
  /** Places of items that were asked for and have no result, with what was in the way so far. */
  readonly unsettled: ReadonlyMap<number, HandlerFault | null>;
  /** The handler is away, and asks for a rest of so long; `hasAnswered`: it was there for some of the items. */
  readonly away: { readonly retryAfterMs: number; readonly hasAnswered: boolean } | undefined;
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
 * @returns which items were asked for when the signal came, or when the handler was found to be away; those and the ones
 *   that were not asked for have no ledger row
 */
export async function askForItems(
  application: Application,
  items: readonly NumberedItem[],
  options: AskOptions,
): Promise<Asking> {
  const { source, signal, calledOff, concurrency, whenAway } = options;
  const { operation, jobId } = application;
  if (operation.kind !== 'http') throw new RangeError('only HTTP operations have a handler');
  const failure = new AbortController();
  const refusal = new AbortController();
  const breaker = createHandlerBreaker(whenAway === 'probe');
  const ends = [...(calledOff ? [calledOff] : []), ...(whenAway === 'fail' ? [] : [breaker.opened])];
  const noMore = AbortSignal.any([signal, failure.signal, refusal.signal, ...ends]);
  using lastAnswers = abortAfter(noMore, LAST_ANSWERS_MS);
  const over = AbortSignal.any([signal, lastAnswers.signal]);
  const supply = createItemSupply(items, {
    check: (left) => leaveOutRefused(source, application, left),
    async begin(next) {
      const mayBegin = (await options.begin?.(next)) ?? true;
      if (!mayBegin) refusal.abort();
      return mayBegin;
    },
    now: performance.now.bind(performance),
  });
  const later = createRetryQueue();
  const unsettled = new Map<number, HandlerFault | null>();
  const settle = async (item: NumberedItem, status: 'succeeded' | 'failed', fault: HandlerFault | null) => {
    await recordResults(source, jobId, [
      { ...item, status, code: fault?.code ?? null, message: fault?.message ?? null },
    ]);
    unsettled.delete(item.seq);
  };
  const ask = async (turn: Turn) => {
    const { item } = turn;
    unsettled.set(item.seq, unsettled.get(item.seq) ?? null);
    const answer = await callHandler(callOf(application, operation, item, options.signingKeys), over);
    if (answer.status === 'stopped') return;
    const fault = answer.status === 'failed' ? answer.fault : null;
    if (breaker.saw(fault)) options.onAnswered?.();
    if (answer.status === 'succeeded') return settle(item, 'succeeded', null);
    if (!answer.isFinal) {
      unsettled.set(item.seq, answer.fault);
      if (later.add(turn, Math.min(answer.fault.retryAfterMs ?? 0, LONG_REST_MS))) return;
      const isAway = answer.fault.isAway === true && breaker.gaveUp(turn.answersBefore);
      if (isAway && whenAway !== 'fail') return;
    }
    await settle(item, 'failed', answer.fault);
  };
  // Lines share what there is to do, so that an item which hangs holds up its own line only.
  const worker = async (isOver: () => boolean) => {
    while (!noMore.aborted && !isOver()) {
      const item = await supply.next();
      const answersBefore = breaker.answerCount;
      const turn = item === undefined ? await later.next(noMore) : { item, attempt: 1, answersBefore };
      if (turn === undefined) return;
      await ask(turn);
    }
  };
  if (whenAway === 'probe') await runWorkers(1, failure, () => worker(() => breaker.answerCount > 0));
  await runWorkers(Math.min(concurrency, items.length), failure, () => worker(() => false));
  if (whenAway === 'fail' || !breaker.opened.aborted) return { unsettled, away: undefined };
  const { retryAfterMs, answerCount } = breaker;
  return { unsettled, away: { retryAfterMs, hasAnswered: answerCount > 0 } };
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
  const refused = items.flatMap((item): RecordedResult[] => {
    const code = codes.get(item.seq) ?? null;
    if (code === null) return [];
    const isMissing = code === 'not_found';
    const message = isMissing ? 'There is no such record.' : null;
    return [{ ...item, status: isMissing ? 'failed' : 'skipped', code, message }];
  });
  await recordResults(source, application.jobId, refused);
  return items.filter(({ seq }) => (codes.get(seq) ?? null) === null);
}

function callOf(
  { jobId, table, sourceId, params }: Application,
  { url, timeoutMs }: Extract<BulkOperation, { kind: 'http' }>,
  { itemId, key }: NumberedItem,
  signingKeys: readonly KeyObject[],
): HandlerCall {
  return {
    url,
    timeoutMs,
    signingKeys,
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

/** A signal that aborts a while after another one did; disposing of it ends the wait. */
export function abortAfter(
  first: AbortSignal,
  delayMs: number,
): Disposable & { readonly signal: AbortSignal } {
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = setTimeout(() => over.abort(), delayMs);
  };
  if (first.aborted) start();
  else first.addEventListener('abort', start, { once: true });
  return {
    signal: over.signal,
    [Symbol.dispose]() {
      first.removeEventListener('abort', start);
      clearTimeout(timer);
    },
  };
}

/**
 * Runs the same line of work several times beside each other. When one fails, `failure` is aborted and tells the others to come to an
 * end: whoever attempts again afterwards must not meet lines of before. Settles when no line runs any more, whatever came of them.
 *
 * @throws the first failure
 */
export async function runWorkers(
  count: number,
  failure: AbortController,
  worker: () => Promise<void>,
): Promise<void> {
  const guarded = async () => {
    try {
      await worker();
    } catch (error) {
      // Only the first reason stays.
      failure.abort(error);
    }
  };
  await Promise.all(Array.from({ length: count }, guarded));
  failure.signal.throwIfAborted();
}
