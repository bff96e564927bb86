import type { ServerResponse } from 'node:http';
import { createPacer } from './pacer.ts';

/** Event of a response that is only being delayed: its connection is free for whoever else wants to connect. */
export const REFUSAL_WAITS = 'tandem.refusal_waits';

/** Refusals of one key in a second. Further ones are delayed until it is their turn. */
const REFUSALS_OF_KEY = 100;

/** Refusals in a second, of all keys and of whoever has none. Nobody gains from more keys. */
const REFUSALS_OF_ALL = 500;

/**
 * The longest wait for a turn, well below the time limits of clients. As many connections as one process has, each in a loop, then
 * get 800 refusals per second together.
 */
const MAX_TURN_MS = 5_000;

/** The delay of the next refusal in ms, which slows down clients that retry in a loop. @param keyPrint undefined: without a known key */
export type NextLateness = (keyPrint?: string) => number;

/**
 * Delays each refusal by `refusalMs`, and beyond a number in a second until its turn. The delay varies by half: requests that came
 * together are answered apart, and come back apart. Thousands of responses in one moment would hold up everybody else.
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
  const paceKey = createPacer(REFUSALS_OF_KEY, MAX_TURN_MS);
  const paceAll = createPacer(REFUSALS_OF_ALL, MAX_TURN_MS);
  return (keyPrint) => {
    if (refusalMs === 0) return 0;
    const nowMs = now();
    const turnMs = Math.max(paceAll('', nowMs), keyPrint === undefined ? 0 : paceKey(keyPrint, nowMs));
    return turnMs + refusalMs * (0.5 + random());
  };
}

/** Goes on after the delay, or as soon as the client has left: nothing is held for nobody. */
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
