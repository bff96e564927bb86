import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { newId } from '../../../shared/domain/ids.ts';
import type { AppError } from '../../../shared/runtime/errors.ts';
import { problemHeaders, problemText, toProblem } from './problem.ts';
import type { PublicUrls } from './public-urls.ts';

/** Event of a response that is only being delayed: its connection is free for whoever else wants to connect. */
export const REFUSAL_WAITS = 'tandem.refusal_waits';

/** Refusals of one key in a second. Each further group of this size is delayed by one step more. */
const REFUSALS_PER_STEP = 50;

/** The largest delay. 4,000 connections in a loop then cost some 800 refusals per second, of 0.2 ms each. */
const MAX_STEPS = 20;

/**
 * Delay of the n-th refusal of a key in ms, which slows down clients that retry in a loop. It varies by half: requests that came
 * together are answered apart, and come back apart. Thousands of responses in one moment would hold up everybody else.
 */
export function latenessMs(refusalMs: number, count: number, random: () => number = Math.random): number {
  return spread(refusalMs * Math.min(MAX_STEPS, 1 + Math.floor(count / REFUSALS_PER_STEP)), random);
}

/** A time between half of this and one and a half. */
export function spread(ms: number, random: () => number = Math.random): number {
  return ms * (0.5 + random());
}

/**
 * Refuses a request whose key is over its rate, with the least work: no route, no body and no log line.
 * During the delay only the request itself is held.
 */
export async function refuseLate(
  request: IncomingMessage,
  response: ServerResponse,
  error: AppError,
  waitMs: number,
  urls: Pick<PublicUrls, 'reference'>,
): Promise<void> {
  response.emit(REFUSAL_WAITS);
  if (waitMs > 0) await delay(waitMs);
  if (response.destroyed) return;
  const requestId = newId('req');
  const problem = toProblem(error, requestId);
  const body = problemText(problem, urls);
  response.writeHead(problem.status, {
    ...problemHeaders(error),
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    // The rest of the body would have to be read.
    ...(request.complete ? {} : { connection: 'close' }),
  });
  response.end(body);
}
