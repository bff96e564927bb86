import { type OpenSpan, startSpan } from '../../../shared/runtime/tracing.ts';
import type { SendOutcome } from '../send/send.ts';

/** Links of the span of one batch. */
const MAX_LINKS = 32;

/** What the span of an attempt says of it. */
interface TracedAttempt {
  readonly endpointId: string;
  readonly url: string;
  readonly messageId: string;
  readonly attempt: number;
  readonly deliveries: readonly { readonly traceparent?: string | undefined; readonly readAtMs: number }[];
  readonly startedAtMs: number;
}

/**
 * The span of one attempt, in the trace of the first traced event and with links to those of the others. Undefined when
 * none is traced.
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
      // No path and no query, because an owner may keep a secret there.
      'server.address': URL.parse(url)?.hostname,
      'tandem.endpoint_id': endpointId,
      'tandem.message_id': messageId,
      'tandem.attempt': attempt,
      'tandem.events': deliveries.length,
      // For an earlier event of its record, or for its turn at the endpoint. A retry waits for its time instead.
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
