import { retryAfterMs } from '../../../shared/domain/retry-after.ts';
import type { SendOutcome } from '../send/send.ts';
import type { Attempt } from '../store/record-attempts.ts';

/**
 * What an outcome means for the event. `throttled`: the endpoint asks for fewer requests, so the event itself is not at
 * fault. `gone`: the owner wants no more events. `aborted`: we broke the request off, so it says nothing about the
 * endpoint.
 */
export type Verdict =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'failed' }
  | { readonly kind: 'throttled'; readonly restMs: number | undefined }
  | { readonly kind: 'gone' }
  | { readonly kind: 'aborted' };

const THROTTLING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export function classifyOutcome(outcome: SendOutcome, nowMs: number): Verdict {
  if (outcome.kind === 'failed') return { kind: outcome.errorClass === 'aborted' ? 'aborted' : 'failed' };
  const { status, retryAfter } = outcome;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  if (status === 410) return { kind: 'gone' };
  if (THROTTLING.has(status)) return { kind: 'throttled', restMs: retryAfterMs(retryAfter, nowMs) };
  return { kind: 'failed' };
}

/** PostgreSQL's text type cannot hold NUL. */
const printable = (text: string) => text.replaceAll('\0', '\u{fffd}');

/** The recorded description of a retry's last failure, shown to the endpoint's owner. */
export function describeFailure(outcome: SendOutcome, nowMs: number): Readonly<Record<string, unknown>> {
  const at = new Date(nowMs).toISOString();
  return outcome.kind === 'answered'
    ? { at, class: 'status', status: outcome.status, excerpt: printable(outcome.excerpt) }
    : { at, class: outcome.errorClass, message: outcome.message };
}

export function describeAttempt(
  outcome: SendOutcome,
): Pick<Attempt, 'status' | 'outcome' | 'excerpt' | 'response'> {
  if (outcome.kind === 'failed') {
    return {
      status: undefined,
      outcome: outcome.errorClass,
      excerpt: outcome.message,
      response: undefined,
    };
  }
  const { status, headers, isCut: isBodyCut } = outcome;
  const isDelivered = status >= 200 && status < 300;
  return {
    status,
    outcome: isDelivered ? 'delivered' : 'failed',
    excerpt: printable(outcome.excerpt),
    response: { ...headers, isBodyCut },
  };
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * Delays after the n-th failed attempt (n from 1), about three days in total. This is the published schedule.
 * `RETRY_SCHEDULE_SECONDS` replaces it for an operator who promised customers another one.
 */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** Random share added to each delay, so that events that failed together do not all retry together. */
const JITTER = 0.2;

/**
 * Time of the next attempt, in epoch milliseconds, of an event that has failed `attemptCount` times.
 *
 * @returns undefined when the schedule is used up: the event has failed for good, until its owner replays it
 */
export function nextAttemptAtMs(
  attemptCount: number,
  nowMs: number,
  random: () => number = Math.random,
  delaysMs: readonly number[] = RETRY_DELAYS_MS,
): number | undefined {
  const delay = delaysMs[attemptCount - 1];
  return delay === undefined ? undefined : Math.round(nowMs + delay * (1 + JITTER * random()));
}
