import type { ServerResponse } from 'node:http';
import { createPacer } from './pacer.ts';

/** Event of a response whose refusal is being delayed. Its connection may be closed in favour of a new one. */
export const REFUSAL_WAITS = 'tandem.refusal_waits';

/** Refusals of one key per second. Further ones wait for their turn. */
const REFUSALS_OF_KEY = 100;

/** Refusals per second of all clients, with and without a key. So a client gains nothing from more keys. */
const REFUSALS_OF_ALL = 500;

/**
 * The longest wait for a turn, well below the time limits of clients. With this limit 4,000 connections that retry in a loop get
 * 900 refusals per second together, or 1,000 without a key.
 */
const MAX_TURN_MS = 5_000;

/** Returns the delay of the next refusal in milliseconds. It slows down clients that retry in a loop. @param keyPrint undefined without a known key */
export type NextLateness = (keyPrint?: string) => number;

/**
 * Delays each refusal by `refusalMs`, and beyond a rate until its turn. The delay varies by half, so that requests that came
 * together get their responses at different times. Thousands of responses in one moment would delay everybody else.
 *
 * @param refusalMs 0: nothing is delayed
 */
export function createLateness(
  refusalMs: number,
  {
    now = () => performance.now(),
    random = Math.random,
  }: { readonly now?: () => number; readonly random?: () => number } = {},
): NextLateness {
  const paceKey = createPacer(REFUSALS_OF_KEY, MAX_TURN_MS, random);
  const paceAll = createPacer(REFUSALS_OF_ALL, MAX_TURN_MS, random);
  return (keyPrint) => {
    if (refusalMs === 0) return 0;
    const nowMs = now();
    const turnMs = Math.max(paceAll('', nowMs), keyPrint === undefined ? 0 : paceKey(keyPrint, nowMs));
    return turnMs + refusalMs * (0.5 + random());
  };
}

/** Calls `goOn` after the delay, or as soon as the client has left. */
export function waitLate(response: ServerResponse, waitMs: number, goOn: () => void): void {
  response.emit(REFUSAL_WAITS);
  if (waitMs === 0 || response.closed) {
    goOn();
    return;
  }
  const end = () => {
    clearTimeout(timer);
    response.off('close', end);
    goOn();
  };
  const timer = setTimeout(end, waitMs);
  response.once('close', end);
}
