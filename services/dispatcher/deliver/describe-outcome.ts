import type { SendOutcome } from '../send/send.ts';
import type { Attempt } from '../store/record-attempts.ts';

/** PostgreSQL's texts hold no NUL. */
const printable = (text: string) => text.replaceAll('\0', '\u{fffd}');

/** What is kept of the last failure of a parked delivery, to be shown to the endpoint's owner. */
export function describeFailure(outcome: SendOutcome, nowMs: number): Readonly<Record<string, unknown>> {
  const at = new Date(nowMs).toISOString();
  return outcome.kind === 'answered'
    ? { at, class: 'status', status: outcome.status, excerpt: printable(outcome.excerpt) }
    : { at, class: outcome.errorClass, message: outcome.message };
}

export function describeAttempt(outcome: SendOutcome): Pick<Attempt, 'status' | 'outcome' | 'excerpt'> {
  if (outcome.kind === 'failed') {
    return { status: undefined, outcome: outcome.errorClass, excerpt: outcome.message };
  }
  const { status } = outcome;
  const isDelivered = status >= 200 && status < 300;
  return { status, outcome: isDelivered ? 'delivered' : 'failed', excerpt: printable(outcome.excerpt) };
}
