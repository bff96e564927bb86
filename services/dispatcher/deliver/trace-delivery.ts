import { type OpenSpan, startSpan } from '../../../shared/runtime/tracing.ts';
import type { SendOutcome } from '../send/send.ts';

/** Limit of links of a batch's span. */
const MAX_LINKS = 32;

/** The attributes of an attempt's span. */
interface TracedAttempt {
  readonly endpointId: string;
  readonly url: string;
  readonly messageId: string;
  readonly attempt: number;
  readonly deliveries: readonly { readonly traceparent?: string | undefined; readonly readAtMs: number }[];
  readonly startedAtMs: number;
}

/**
 * Starts the span of an attempt, in the trace of the batch's first traced event, with links to the other traced events.
 * Undefined when no event is traced.
 */
export function startDeliverySpan({
  endpointId,
  url,
  messageId,
  attempt,
  deliveries,
  startedAtMs,
}: TracedAttempt): OpenSpan | undefined {
  const [parent, ...others] = new Set(deliveries.flatMap(({ traceparent }) => traceparent ?? []));
  if (parent === undefined) return undefined;
  const readAtMs = deliveries[0]?.readAtMs ?? 0;
  return startSpan('deliver webhook', {
    kind: 'client',
    parent,
    links: others.slice(0, MAX_LINKS),
    attributes: {
      'http.request.method': 'POST',
      // No path and no query: owners may keep a secret there.
      'server.address': URL.parse(url)?.hostname,
      'tandem.endpoint_id': endpointId,
      'tandem.message_id': messageId,
      'tandem.attempt': attempt,
      'tandem.events': deliveries.length,
      // The time spent waiting for an earlier event of the record or for the endpoint. Retries wait for their schedule
      // instead.
      'tandem.waited_ms': attempt > 1 || readAtMs === 0 ? undefined : startedAtMs - readAtMs,
    },
  });
}

export function endDeliverySpan(span: OpenSpan, outcome: SendOutcome): void {
  if (outcome.kind === 'failed') span.fail(outcome.errorClass);
  else {
    span.setAttributes({ 'http.response.status_code': outcome.status });
    if (outcome.status >= 300) span.fail(`status ${outcome.status}`);
  }
  span.end();
}
