import { latencyLine } from '../../deploy/demo/delay-watch.ts';
import type { CollectedSpan } from '../support/otlp-collector.ts';

/** What the services run with, so that one transaction in a hundred is traced. */
export const SAMPLING = {
  OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
  OTEL_TRACES_SAMPLER_ARG: '0.01',
  OTEL_BSP_SCHEDULE_DELAY: '500',
};

const HOPS = [
  'commit → decoded',
  'decoded → published in Kafka',
  'published → being recorded',
  'being recorded → in the event log',
  'in the event log → taken up',
  'taken up → sent',
  'sent → answered',
  'commit → answered',
] as const;

/**
 * Where the time of traced changes goes, one line a hop: from the spans of capture, of the recorder and of each first
 * attempt. The recorder may read a transaction before capture has the broker's response, so that hop may be below 0. An endpoint takes
 * up events from memory or the log; from then on they wait for an earlier event of their record, or for their turn.
 */
export function hopLines(spans: readonly CollectedSpan[]): string[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const ways = spans.flatMap((deliver) => {
    const record = byId.get(deliver.parentSpanId);
    const publish = byId.get(record?.parentSpanId ?? '');
    // Only a first attempt has it.
    const waitedMs = deliver.attributes['tandem.waited_ms'];
    if (typeof waitedMs !== 'number' || record === undefined || publish === undefined) return [];
    const takenUpAtMs = deliver.startedAtMs - waitedMs;
    const decodedAtMs = publish.startedAtMs + Number(publish.attributes['tandem.decoded_after_ms']);
    return [
      [
        decodedAtMs - publish.startedAtMs,
        publish.endedAtMs - decodedAtMs,
        record.startedAtMs - publish.endedAtMs,
        record.endedAtMs - record.startedAtMs,
        takenUpAtMs - record.endedAtMs,
        deliver.startedAtMs - takenUpAtMs,
        deliver.endedAtMs - deliver.startedAtMs,
        deliver.endedAtMs - publish.startedAtMs,
      ],
    ];
  });
  return HOPS.map(
    (name, place) =>
      `    ${name.padEnd(34)} ${latencyLine(ways.map((way) => way[place] ?? 0))} of ${ways.length}`,
  );
}
