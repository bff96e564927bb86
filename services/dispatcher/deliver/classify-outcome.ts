import { retryAfterMs } from '../../../shared/domain/retry-after.ts';
import type { SendOutcome } from '../send/send.ts';
import type { Attempt } from '../store/record-attempts.ts';

/**
 * What an outcome means. `throttled`: the endpoint asks for less, which says nothing of the event.
 * `gone`: the owner wants no events any more. `aborted`: we broke it off ourselves, so nothing was learnt.
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

/** PostgreSQL's texts hold no NUL. */
const printable = (text: string) => text.replaceAll('\0', '\u{fffd}');

/** What is kept of the last failure of a retry, to be shown to the endpoint's owner. */
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
 * After the n-th failed attempt (n from 1) the next one follows this much later; all together about three days. This is
 * the published schedule; `RETRY_SCHEDULE_SECONDS` is for an operator whose customers were promised another.
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

/** A delay is stretched by up to this share of itself, so that what failed together does not come back together. */
const JITTER = 0.2;

/**
 * When an event is tried again that has failed `attemptCount` times, in epoch milliseconds.
 *
 * @returns undefined when the schedule is used up: the event is dead until someone redelivers it
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
