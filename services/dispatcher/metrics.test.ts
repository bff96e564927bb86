import { expect, test } from 'vitest';
import { createMetrics } from '../../shared/runtime/metrics.ts';
import { addDispatcherMetrics } from './metrics.ts';

test('the delay of a delivery counts from its commit, over all tries; failed ones and tests have none', async () => {
  const metrics = createMetrics();
  const { attempted } = addDispatcherMetrics(metrics, Date.now);
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

test('the delay of an insert is that of its oldest event; one that records nothing new has none', async () => {
  const metrics = createMetrics();
  const { recorded } = addDispatcherMetrics(metrics, () => Date.parse('2026-01-01T00:00:10Z'));
  recorded(
    [{ committedAt: '2026-01-01T00:00:08.000000Z' }, { committedAt: '2026-01-01T00:00:09.000000Z' }],
    2,
  );
  recorded([{ committedAt: '2026-01-01T00:00:01.000000Z' }], 0);
  const text = await metrics.text();
  expect(text).toContain('tandem_events_recorded_total 2\n');
  expect(text).toContain('tandem_recording_delay_seconds_count 1\n');
  expect(text).toContain('tandem_recording_delay_seconds_sum 2\n');
});
