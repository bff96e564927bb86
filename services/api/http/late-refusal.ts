import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { newId } from '../../../shared/domain/ids.ts';
import type { AppError } from '../../../shared/runtime/errors.ts';
import { problemHeaders, toProblem } from './problem.ts';

/** Refusals of one key and second, for each of which the next come later by as much again as the first. */
const REFUSALS_PER_STEP = 50;

/** However many there are: 4,000 connections that ask in a loop then cost some 800 refusals a second, of 0.1 ms each. */
const MAX_STEPS = 20;

/** How late the n-th refusal of a key comes, in ms. Asking in a loop, a client asks so much less. */
export function latenessMs(refusalMs: number, count: number): number {
  return refusalMs * Math.min(MAX_STEPS, 1 + Math.floor(count / REFUSALS_PER_STEP));
}

/**
 * Answers a request whose key has been told to slow down just now, with as little work as can be: its route is not looked for, its body is
 * not read, and no line is written. While it waits only the request itself is held.
 */
export async function refuseLate(
  request: IncomingMessage,
  response: ServerResponse,
  error: AppError,
  waitMs: number,
): Promise<void> {
  if (waitMs > 0) await delay(waitMs);
  if (response.destroyed) return;
  const requestId = newId('req');
  const problem = toProblem(error, requestId);
  const body = JSON.stringify(problem);
  response.writeHead(problem.status, {
    ...problemHeaders(error),
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    // A body that goes on arriving would have to be read up to its end.
    ...(request.complete ? {} : { connection: 'close' }),
  });
  response.end(body);
}
