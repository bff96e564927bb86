import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { eventId } from '../../../shared/domain/position.ts';
import { TRACEPARENT } from '../../../shared/protocol/headers.ts';
import {
  deliveryHeaders,
  deliveryTimestamp,
  type Message,
  toBatch,
} from '../../../shared/protocol/webhook-message.ts';
import { sign } from '../../../shared/runtime/signing.ts';
import { isTracing } from '../../../shared/runtime/tracing.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import type { Send, SendOutcome, SendRequest } from '../send/send.ts';
import type { Delivery } from '../store/progress.ts';
import type { Attempt } from '../store/record-attempts.ts';
import { describeAttempt } from './classify-outcome.ts';
import type { DeliveryBatch } from './delivery-batch.ts';
import { endDeliverySpan, startDeliverySpan } from './trace-delivery.ts';

export interface AttemptDeps {
  readonly send: Send;
  readonly readPayload: (
    accountId: string,
    delivery: Pick<Delivery, 'position' | 'committedAt'>,
  ) => Promise<{ payload: string; type: string; traceparent?: string | null } | undefined>;
  readonly noteAttempt: (attempt: Attempt) => void;
  readonly onSending: (change: 1 | -1) => void;
  /** Why deliveries to this URL are forbidden, or undefined when they are allowed. */
  readonly findUrlProblem: (url: string) => string | undefined;
  /** The name that starts the event types of a resource, such as `invoice` of `invoices`. */
  readonly singularOf: (resource: string) => string | undefined;
  /** Whether the receiver gets the `traceparent` of a traced attempt. */
  readonly sendsTraceparent?: boolean;
  readonly now: () => number;
}

/** Result of an attempt. Nothing was sent for `unwanted`, `expired` and `withheld`. */
export type AttemptResult =
  | { readonly kind: 'sent'; readonly outcome: SendOutcome }
  /** The endpoint no longer subscribes to any of the batch's event types. */
  | { readonly kind: 'unwanted' }
  /** The event's payload is past its retention. */
  | { readonly kind: 'expired' }
  /** Sending is not allowed now: the endpoint is paused, or the lease has expired. */
  | { readonly kind: 'withheld' };

/**
 * Sends a batch once, with the endpoint's current settings. Events of types that the endpoint no longer subscribes to
 * are left out. `mayStart` is checked last, right before the request. When the signal aborts, the request is broken off
 * and its outcome is not recorded.
 *
 * @throws when an event's payload can't be read
 */
export type MakeAttempt = (batch: DeliveryBatch) => Promise<AttemptResult>;

/** A delivery that can be sent. */
interface Sendable {
  readonly id: string;
  readonly text: string;
  readonly attemptCount: number;
  readonly committedAt: string;
}

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

  /** Sends the request; `request` is undefined when the URL is forbidden. */
  const send = async (
    message: Message,
    nowMs: number,
    traceparent: string | undefined,
  ): Promise<{ outcome: SendOutcome; request: SendRequest | undefined }> => {
    const problem = findProblem(settings().url);
    if (problem !== undefined) {
      const refused = { kind: 'failed', errorClass: 'invalid_url', durationMs: 0 } as const;
      return { outcome: { ...refused, message: `the URL ${problem}` }, request: undefined };
    }
    deps.onSending(1);
    try {
      const request = toRequest(settings(), message.id, message.body, nowMs, signal, traceparent);
      return { outcome: await deps.send(request), request };
    } finally {
      deps.onSending(-1);
    }
  };

  /** Loads the payload of a delivery. @returns whether it still exists */
  const fetchText = async (delivery: Delivery): Promise<boolean> => {
    if (delivery.payload !== undefined) return true;
    const found = await deps.readPayload(settings().accountId, delivery);
    delivery.payload = found?.payload;
    delivery.type = found?.type;
    if (found?.traceparent != null) delivery.traceparent = found.traceparent;
    return found !== undefined;
  };

  const isWanted = ({ type, resource }: Delivery) =>
    isTypeWanted(settings().selection.patterns, type ?? '', deps.singularOf(resource));

  return async ({ deliveries }) => {
    // Batches hold their payloads already. Only long events and retries, which go alone, have to load theirs.
    if (!(await fetchText(deliveries[0]))) return { kind: 'expired' };
    const [first, ...others] = deliveries.flatMap((delivery): Sendable[] => {
      const { position, payload: text, attemptCount, committedAt } = delivery;
      if (text === undefined || !isWanted(delivery)) return [];
      return [{ id: eventId(position), text, attemptCount, committedAt }];
    });
    if (first === undefined) return { kind: 'unwanted' };
    // Loading took time: the endpoint may have been paused, or the lease may have expired.
    if (!mayStart()) return { kind: 'withheld' };
    const isBatch = settings().batching !== undefined;
    const message = isBatch ? toBatch([first, ...others]) : { id: first.id, body: first.text };
    const startedAtMs = deps.now();
    const span = isTracing()
      ? startDeliverySpan({
          endpointId: settings().id,
          url: settings().url,
          messageId: message.id,
          attempt: first.attemptCount + 1,
          deliveries,
          startedAtMs,
        })
      : undefined;
    const traceparent = deps.sendsTraceparent === true ? span?.traceparent : undefined;
    const { outcome, request } = await send(message, startedAtMs, traceparent);
    if (span !== undefined) endDeliverySpan(span, outcome);
    if (!signal.aborted) {
      deps.noteAttempt({
        endpointId: settings().id,
        ...describeEvents([first.id, ...others.map(({ id }) => id)], isBatch ? message.id : undefined),
        attempt: first.attemptCount + 1,
        startedAtMs,
        durationMs: outcome.durationMs,
        committedAtMs: Date.parse(first.committedAt),
        request: request && describeRequest(request, traceparent),
        ...describeAttempt(outcome),
      });
    }
    return { kind: 'sent', outcome };
  };
}

/** Headers that the owner's own headers never replace, whatever was accepted when they were set. */
const OUR_HEADER = /^(webhook-|content-|host$|connection$|transfer-encoding$|expect$|user-agent$)/i;

/**
 * The signed request of one attempt. The webhook ID is the event's; the timestamp is the attempt's. The signature
 * covers ID, timestamp and body, so `traceparent` is not part of it.
 */
export function toRequest(
  settings: Pick<EndpointSettings, 'url' | 'headers' | 'keys'>,
  id: string,
  payload: string,
  nowMs: number,
  signal: AbortSignal,
  traceparent?: string,
): SendRequest {
  const body = Buffer.from(payload, 'utf8');
  const timestamp = deliveryTimestamp(nowMs);
  const keys = settings.keys.filter(({ expiresAtMs }) => expiresAtMs > nowMs).map(({ key }) => key);
  const own = Object.entries(settings.headers).filter(([name]) => !OUR_HEADER.test(name));
  const headers = {
    ...Object.fromEntries(own),
    ...deliveryHeaders(id, timestamp, sign(keys, id, timestamp, body)),
  };
  return {
    url: settings.url,
    headers: traceparent === undefined ? headers : withTrace(headers, traceparent),
    body,
    signal,
  };
}

/** Sets `traceparent`, replacing one that the owner has set. */
function withTrace(headers: Readonly<Record<string, string>>, traceparent: string): Record<string, string> {
  const others = Object.entries(headers).filter(([name]) => name.toLowerCase() !== TRACEPARENT);
  return { ...Object.fromEntries(others), [TRACEPARENT]: traceparent };
}

/**
 * The recorded part of a request. Only the names of the owner's headers are kept, because their values are stored
 * encrypted. Everything else follows from the events and the time.
 */
export function describeRequest(
  { headers }: SendRequest,
  traceparent?: string,
): NonNullable<Attempt['request']> {
  const ours = new Set(Object.keys(deliveryHeaders('', 0, '')));
  if (traceparent !== undefined) ours.add(TRACEPARENT);
  return {
    signature: headers['webhook-signature'] ?? '',
    ownHeaders: Object.keys(headers).filter((name) => !ours.has(name)),
  };
}

/** The events of a request, as recorded with its outcome. */
function describeEvents(
  ids: readonly [string, ...string[]],
  batchId: string | undefined,
): Pick<Attempt, 'eventId' | 'batch'> {
  return { eventId: ids[0], batch: batchId === undefined ? undefined : { id: batchId, eventIds: ids } };
}
