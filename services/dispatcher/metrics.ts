import { defineMetrics, type Metrics } from '../../shared/runtime/metrics.ts';
import type { RecordedEvent } from './record/insert-events.ts';
import type { SendErrorClass } from './send/send.ts';
import type { Attempt } from './store/record-attempts.ts';

const ERROR_CLASSES = {
  invalid_url: true,
  address_refused: true,
  dns: true,
  refused: true,
  unreachable: true,
  reset: true,
  tls: true,
  timeout: true,
  protocol: true,
  oversized: true,
  aborted: true,
} satisfies Readonly<Record<SendErrorClass, true>>;

export const DISPATCHER_METRICS = defineMetrics({
  recorded: {
    name: 'tandem_events_recorded_total',
    type: 'counter',
    help: 'Events recorded in the log.',
    normal: 'follows tandem_changes_published_total',
  },
  recordingDelay: {
    name: 'tandem_recording_delay_seconds',
    type: 'histogram',
    help: 'Time from the commit in the source to the event in the log, of the oldest event of each insert.',
    normal: 'p99 below 1 s',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600],
  },
  backlog: {
    name: 'tandem_recorder_backlog_bytes',
    type: 'gauge',
    help: 'Changes that this process has read and not recorded.',
    normal: 'below 10 MB; at most 128 MiB',
  },
  attempts: {
    name: 'tandem_delivery_attempts_total',
    type: 'counter',
    help: 'Attempts to deliver, by outcome: delivered, failed (a response that is no success), or why there was no response.',
    normal: 'delivered above 95 %',
    labels: { outcome: ['delivered', 'failed', ...(Object.keys(ERROR_CLASSES) as SendErrorClass[])] },
  },
  duration: {
    name: 'tandem_delivery_duration_seconds',
    type: 'histogram',
    help: 'Time of one attempt.',
    normal: 'follows the receivers; at most DELIVERY_TIMEOUT_MS',
    // Up to the total time limit of one delivery.
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
  },
  delay: {
    name: 'tandem_delivery_delay_seconds',
    type: 'histogram',
    help: 'Time from the commit in the source to the accepting response. For a batch: of its oldest event.',
    normal: 'p50 below 0.25 s; receivers that fail make the tail',
    // From a healthy endpoint's milliseconds to the end of the retry schedule, which takes days.
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600, 86_400],
  },
  running: {
    name: 'tandem_deliveries_in_progress',
    type: 'gauge',
    help: 'Requests to receivers that have no response yet.',
    normal: 'far below DELIVERY_MAX_IN_FLIGHT',
  },
  held: {
    name: 'tandem_endpoints_held',
    type: 'gauge',
    help: 'Webhook endpoints that this process delivers to.',
    normal: 'an equal share in each process',
  },
});

export interface DispatcherMetrics {
  /** Counts attempts that are about to be recorded. */
  attempted(
    attempts: readonly Pick<Attempt, 'outcome' | 'startedAtMs' | 'durationMs' | 'committedAtMs'>[],
  ): void;
  /** Counts an insert into the log, of which `count` events were new. */
  recorded(events: readonly Pick<RecordedEvent, 'committedAt'>[], count: number): void;
}

export function addDispatcherMetrics(metrics: Metrics, now: () => number): DispatcherMetrics {
  const events = metrics.counter(DISPATCHER_METRICS.recorded);
  const recordingDelay = metrics.histogram(DISPATCHER_METRICS.recordingDelay);
  const attempts = metrics.counter(DISPATCHER_METRICS.attempts);
  const seconds = metrics.histogram(DISPATCHER_METRICS.duration);
  const delay = metrics.histogram(DISPATCHER_METRICS.delay);
  return {
    attempted(batch) {
      for (const { outcome, startedAtMs, durationMs, committedAtMs } of batch) {
        attempts.add(1, { outcome });
        seconds.observe(durationMs / 1_000);
        if (outcome !== 'delivered' || committedAtMs === undefined) continue;
        // The two times usually come from the clocks of two machines, so the difference may be negative.
        delay.observe(Math.max(0, startedAtMs + durationMs - committedAtMs) / 1_000);
      }
    },
    recorded([first], count) {
      events.add(count);
      // Events of a partition are in commit order.
      if (first === undefined || count === 0) return;
      recordingDelay.observe(Math.max(0, now() - Date.parse(first.committedAt)) / 1_000);
    },
  };
}

/** Adds gauges that are read at the moment of a scrape. */
export function addHeldMetrics(
  metrics: Metrics,
  read: { readonly backlogBytes: () => number; readonly running: () => number; readonly held: () => number },
): void {
  metrics.gauge(DISPATCHER_METRICS.backlog, () => [{ value: read.backlogBytes() }]);
  metrics.gauge(DISPATCHER_METRICS.running, () => [{ value: read.running() }]);
  metrics.gauge(DISPATCHER_METRICS.held, () => [{ value: read.held() }]);
}
