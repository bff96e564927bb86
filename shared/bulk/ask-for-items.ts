import type { KeyObject } from 'node:crypto';
import type { Pool } from 'pg';
import { anySignal } from '../runtime/any-signal.ts';
import { createGather } from '../runtime/gather.ts';
import { sleep } from '../runtime/sleep.ts';
import { type Application, checkStatement, type NumberedItem } from './apply-statement.ts';
import {
  callHandler,
  type HandlerAnswer,
  type HandlerCall,
  type HandlerFault,
  idempotencyKeyOf,
  retryDelayMs,
} from './call-handler.ts';
import { createHandlerBreaker, LONG_REST_MS } from './handler-breaker.ts';
import { createItemSupply } from './item-supply.ts';
import { keepPlan } from './keep-plan.ts';
import { type RecordedResult, recordResults } from './ledger.ts';
import type { BulkOperation } from './operation.ts';

export interface AskOptions {
  readonly source: Pool;
  /** Aborts requests in flight. */
  readonly signal: AbortSignal;
  /** Once aborted, no item is begun; requests in flight may finish. */
  readonly calledOff?: AbortSignal;
  /** Concurrent requests. */
  readonly concurrency: number;
  /** Keys that sign requests. */
  readonly signingKeys: readonly KeyObject[];
  /**
   * `leave`: once the handler as a whole is unavailable, no more requests are sent, and the remaining items have no result.
   * `probe`: as `leave`, and the first item goes alone, because the handler was unavailable a moment ago. `fail`: each item has
   * its attempts, then fails.
   */
  readonly whenAway: 'leave' | 'probe' | 'fail';
  /** Called for each response, whatever it says. */
  onAnswered?(): void;
  /** Called after each request. */
  onCalled?(status: HandlerAnswer['status'], durationMs: number): void;
  /** Called before requests for items are sent; false has the effect of `calledOff`. */
  begin?(items: readonly NumberedItem[]): Promise<boolean>;
}

/** What is left once no more requests are sent. */
export interface Asking {
  /** Positions of items that were sent and have no result, with their last fault. */
  readonly unsettled: ReadonlyMap<number, HandlerFault | null>;
  /** Set when the handler is unavailable, with the longest Retry-After; `hasAnswered`: it responded for some items. */
  readonly away: { readonly retryAfterMs: number; readonly hasAnswered: boolean } | undefined;
}

/**
 * How long requests in flight may take once no more are sent. A cancellation has to end within seconds, and the effect of a
 * request without a response stays unknown.
 */
const LAST_ANSWERS_MS = 5_000;

/**
 * How long a result waits for others. A handler that responds at once then costs a write for as many items as it is asked for at
 * once, and for one that takes longer this is no delay.
 */
const LINGER_MS = 3;

/**
 * Calls the operation's handler for each item and writes each result into the ledger at once, together with those that came
 * while the results before were written. After a crash between the two, the request is repeated with the same `Idempotency-Key`, by which the handler applies it once. If a result cannot be written, no
 * further request is sent, and the error is thrown when no request is in flight any more.
 *
 * @returns the items that were sent and have no result, when the signal came or the handler was unavailable. Neither they nor
 *   items that were not sent have a ledger row
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
  using end = anySignal([signal, failure.signal, refusal.signal, ...ends]);
  const noMore = end.signal;
  using lastAnswers = abortAfter(noMore, LAST_ANSWERS_MS);
  using overdue = anySignal([signal, lastAnswers.signal]);
  const over = overdue.signal;
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
  const record = createGather(async (results: readonly RecordedResult[]) => {
    await recordResults(source, jobId, results);
    return results;
  }, LINGER_MS);
  const settle = async (item: NumberedItem, status: 'succeeded' | 'failed', fault: HandlerFault | null) => {
    await record({ ...item, status, code: fault?.code ?? null, message: fault?.message ?? null });
    unsettled.delete(item.seq);
  };
  const ask = async (turn: Turn) => {
    const { item } = turn;
    unsettled.set(item.seq, unsettled.get(item.seq) ?? null);
    const startedAtMs = performance.now();
    const answer = await callHandler(callOf(application, operation, item, options.signingKeys), over);
    options.onCalled?.(answer.status, performance.now() - startedAtMs);
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
  // Workers share the supply, so that an item that hangs delays its own worker only.
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

/** Records the items that are missing or to be skipped. @returns the others */
async function leaveOutRefused(
  source: Pool,
  application: Application,
  items: readonly NumberedItem[],
): Promise<NumberedItem[]> {
  const { rows } = await source.query<{ seq: string; code: string | null }>(
    keepPlan(checkStatement(application, items)),
  );
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

/** A signal that aborts `delayMs` after `first`; disposing it cancels the delay. */
function abortAfter(first: AbortSignal, delayMs: number): Disposable & { readonly signal: AbortSignal } {
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
 * Runs the same work in `count` concurrent workers. The first failure aborts `failure`, on which the others have to end: a
 * retry must not meet workers of the attempt before it. Settles when no worker runs any more.
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

/** An item and its next or latest attempt. */
export interface Turn {
  readonly item: NumberedItem;
  readonly attempt: number;
  /** Items that the handler had responded to before the first attempt. */
  readonly answersBefore: number;
}

/**
 * Items that wait for another attempt. They wait here and not in their worker, so that a handler that hangs for as many items
 * as there are workers delays the others by one timeout, not by all attempts.
 */
export interface RetryQueue {
  /** @param leastDelayMs the handler's Retry-After. @returns false after the item's last attempt */
  add(turn: Turn, leastDelayMs?: number): boolean;
  /** Waits until the first item is due; undefined when the queue is empty, or the signal aborts first. */
  next(signal: AbortSignal): Promise<Turn | undefined>;
}

export function createRetryQueue(now = performance.now.bind(performance)): RetryQueue {
  const waiting: { turn: Turn; dueAtMs: number }[] = [];
  return {
    add(turn, leastDelayMs = 0) {
      const delayMs = retryDelayMs(turn.attempt);
      if (delayMs === undefined) return false;
      const dueAtMs = now() + Math.max(delayMs, leastDelayMs);
      waiting.push({ turn: { ...turn, attempt: turn.attempt + 1 }, dueAtMs });
      waiting.sort((a, b) => a.dueAtMs - b.dueAtMs);
      return true;
    },
    async next(signal) {
      const first = waiting.shift();
      if (first === undefined) return undefined;
      const delayMs = first.dueAtMs - now();
      if (delayMs > 0) await sleep(delayMs, signal);
      return signal.aborted ? undefined : first.turn;
    },
  };
}
