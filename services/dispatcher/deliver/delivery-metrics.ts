import type { Metrics } from '../../../shared/runtime/metrics.ts';
import type { Attempt } from '../store/record-attempts.ts';

export interface DeliveryMetrics {
  /** Tries that are about to be noted. */
  attempted(attempts: readonly Pick<Attempt, 'outcome' | 'durationMs'>[]): void;
  /** Events that were new to the log. */
  recorded(count: number): void;
}

/** Up to the time that one delivery may take in all. */
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];

export function addDeliveryMetrics(metrics: Metrics): DeliveryMetrics {
  const events = metrics.counter('tandem_events_recorded_total', 'Events recorded in the log.');
  const attempts = metrics.counter('tandem_delivery_attempts_total', 'Tries of deliveries, by outcome.');
  const seconds = metrics.histogram('tandem_delivery_duration_seconds', 'Time of one try.', BUCKETS_SECONDS);
  return {
    attempted(batch) {
      for (const { outcome, durationMs } of batch) {
        attempts.add(1, { outcome });
        seconds.observe(durationMs / 1_000);
      }
    },
    recorded: (count) => events.add(count),
  };
}
