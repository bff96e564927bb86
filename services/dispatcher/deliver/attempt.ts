import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { eventId } from '../../../shared/domain/position.ts';
import type { Send, SendOutcome } from '../send/send.ts';
import type { Attempt } from '../store/record-attempts.ts';
import type { Delivery } from './delivery.ts';
import { describeAttempt } from './describe-outcome.ts';
import type { EndpointSettings } from './endpoint.ts';
import { toRequest } from './to-request.ts';

export interface AttemptDeps {
  readonly send: Send;
  readonly readPayload: (
    accountId: string,
    delivery: Pick<Delivery, 'position' | 'committedAt'>,
  ) => Promise<{ payload: string; type: string } | undefined>;
  readonly noteAttempt: (attempt: Attempt) => void;
  readonly onSending: (change: 1 | -1) => void;
  /** What forbids delivery to this URL, or undefined. */
  readonly findUrlProblem: (url: string) => string | undefined;
  /** Name that the types of a resource's events start with. */
  readonly singularOf: (resource: string) => string | undefined;
  readonly now: () => number;
}

/** What became of a try: nothing was sent to an `unwanted`, `expired` or `withheld` one. */
export type AttemptResult =
  | { readonly kind: 'sent'; readonly outcome: SendOutcome }
  /** The endpoint no longer asks for its type. */
  | { readonly kind: 'unwanted' }
  /** Its text is no longer kept. */
  | { readonly kind: 'expired' }
  /** It may not be sent now. */
  | { readonly kind: 'withheld' };

/**
 * Makes one try of a delivery by the endpoint's settings of that moment; `mayStart` is asked last of all. The signal
 * breaks it off, and what became of it is then not noted.
 *
 * @throws when the event's text can't be looked up
 */
export type MakeAttempt = (delivery: Delivery) => Promise<AttemptResult>;

export function createAttempt(
  settings: () => EndpointSettings,
  mayStart: () => boolean,
  signal: AbortSignal,
  deps: AttemptDeps,
): MakeAttempt {
  let checked: { readonly url: string; readonly problem: string | undefined } | undefined;
  const findProblem = (url: string): string | undefined => {
    if (checked?.url !== url) checked = { url, problem: deps.findUrlProblem(url) };
    return checked.problem;
  };

  const send = async (id: string, payload: string, nowMs: number): Promise<SendOutcome> => {
    const problem = findProblem(settings().url);
    if (problem !== undefined) {
      return { kind: 'failed', errorClass: 'invalid_url', message: `the URL ${problem}`, durationMs: 0 };
    }
    deps.onSending(1);
    try {
      return await deps.send(toRequest(settings(), id, payload, nowMs, signal));
    } finally {
      deps.onSending(-1);
    }
  };

  return async (delivery) => {
    if (delivery.payload === undefined) {
      const found = await deps.readPayload(settings().accountId, delivery);
      if (found === undefined) return { kind: 'expired' };
      delivery.payload = found.payload;
      delivery.type = found.type;
    }
    const { patterns } = settings().selection;
    if (!isTypeWanted(patterns, delivery.type ?? '', deps.singularOf(delivery.resource))) {
      return { kind: 'unwanted' };
    }
    // Looking it up may have taken a while, in which the endpoint was paused or the lease has run out.
    if (!mayStart()) return { kind: 'withheld' };
    const id = eventId(delivery.position);
    const startedAtMs = deps.now();
    const outcome = await send(id, delivery.payload, startedAtMs);
    if (!signal.aborted) {
      deps.noteAttempt({
        endpointId: settings().id,
        eventId: id,
        attempt: delivery.attemptCount + 1,
        startedAtMs,
        durationMs: outcome.durationMs,
        ...describeAttempt(outcome),
      });
    }
    return { kind: 'sent', outcome };
  };
}
