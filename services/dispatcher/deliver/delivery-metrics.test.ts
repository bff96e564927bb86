import { expect, test } from 'vitest';
import { createMetrics } from '../../../shared/runtime/metrics.ts';
import { addDeliveryMetrics } from './delivery-metrics.ts';

test('the delay of a delivery counts from its commit, over all tries; failed ones and tests have none', async () => {
  const metrics = createMetrics();
  const { attempted } = addDeliveryMetrics(metrics);
  attempted([
    { outcome: 'failed', startedAtMs: 2_000, durationMs: 10, committedAtMs: 1_000 },
    { outcome: 'delivered', startedAtMs: 7_000, durationMs: 20, committedAtMs: 1_000 },
    { outcome: 'delivered', startedAtMs: 7_000, durationMs: 20, committedAtMs: undefined },
    { outcome: 'delivered', startedAtMs: 900, durationMs: 5, committedAtMs: 1_000 },
  ]);
  const text = await metrics.text();
  expect(text).toContain('tandem_delivery_delay_seconds_count 2\n');
  expect(text).toContain('tandem_delivery_delay_seconds_sum 6.02\n');
  expect(text).toContain('tandem_delivery_duration_seconds_count 4\n');
});
