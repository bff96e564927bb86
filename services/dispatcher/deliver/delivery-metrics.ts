import type { Metrics } from '../../../shared/runtime/metrics.ts';
import type { Attempt } from '../store/record-attempts.ts';

export interface DeliveryMetrics {
  /** Tries that are about to be noted. */
  attempted(
    attempts: readonly Pick<Attempt, 'outcome' | 'startedAtMs' | 'durationMs' | 'committedAtMs'>[],
  ): void;
  /** Events that were new to the log. */
  recorded(count: number): void;
}

/** Up to the time that one delivery may take in all. */
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];

/** From a healthy endpoint's milliseconds to the end of the retry schedule, which takes days. */
const DELAY_BUCKETS_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600, 86_400];

export function addDeliveryMetrics(metrics: Metrics): DeliveryMetrics {
  const events = metrics.counter('tandem_events_recorded_total', 'Events recorded in the log.');
  const attempts = metrics.counter('tandem_delivery_attempts_total', 'Attempts to deliver, by outcome.', [
    'outcome',
  ]);
  const seconds = metrics.histogram(
    'tandem_delivery_duration_seconds',
    'Time of one attempt.',
    BUCKETS_SECONDS,
  );
  const delay = metrics.histogram(
    'tandem_delivery_delay_seconds',
    'Time from the commit in the source to the accepting response. For a batch: of its oldest event.',
    DELAY_BUCKETS_SECONDS,
  );
  return {
    attempted(batch) {
      for (const { outcome, startedAtMs, durationMs, committedAtMs } of batch) {
        attempts.add(1, { outcome });
        seconds.observe(durationMs / 1_000);
        if (outcome !== 'delivered' || committedAtMs === undefined) continue;
        // The two clocks are two machines' mostly.
        delay.observe(Math.max(0, startedAtMs + durationMs - committedAtMs) / 1_000);
      }
    },
    recorded: (count) => events.add(count),
  };
}
