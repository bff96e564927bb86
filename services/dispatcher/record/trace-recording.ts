import { isTracing, type OpenSpan, startSpan } from '../../../shared/runtime/tracing.ts';
import type { RecordedEvent } from './insert-events.ts';

/**
 * Records events in one span per traced transaction. The span is a child of capture's span with a link to it, and the
 * parent of the deliveries' spans.
 *
 * @throws what `record` throws
 */
export async function recordInSpans(
  events: readonly RecordedEvent[],
  record: (events: readonly RecordedEvent[]) => Promise<void>,
): Promise<void> {
  if (!isTracing()) return record(events);
  const spans = new Map<string, OpenSpan>();
  for (const [parent, of] of Map.groupBy(events, ({ traceparent }) => traceparent)) {
    const span = parent === undefined ? undefined : openSpan(parent, of.length);
    if (parent !== undefined && span !== undefined) spans.set(parent, span);
  }
  if (spans.size === 0) return record(events);
  const spanOf = ({ traceparent }: RecordedEvent) =>
    traceparent === undefined ? undefined : spans.get(traceparent);
  try {
    await record(events.map((event) => ({ ...event, traceparent: spanOf(event)?.traceparent })));
  } catch (error) {
    for (const span of spans.values()) span.fail(error);
    throw error;
  } finally {
    for (const span of spans.values()) span.end();
  }
}

function openSpan(parent: string, eventCount: number): OpenSpan | undefined {
  return startSpan('record events', {
    kind: 'consumer',
    parent,
    links: [parent],
    attributes: { 'messaging.system': 'kafka', 'tandem.events': eventCount },
  });
}
