import { expect, test } from 'vitest';
import { createMetrics } from '../../shared/runtime/metrics.ts';
import { addCaptureMetrics } from './metrics.ts';

test('a session counts from its beginning, and one that has ended streams no more', async () => {
  const metrics = createMetrics();
  const capture = addCaptureMetrics(metrics, {
    resources: ['invoices', 'customers'],
    now: () => 5_000,
  });
  const values = async () => (await metrics.text()).split('\n').filter((line) => !line.startsWith('#'));
  const batch = { changeCount: 3, transactionCount: 2, durationMs: 20, oldestCommitMs: 4_000 };
  expect(await values()).toContain('tandem_capture_streaming 0');

  const first = capture.streaming();
  capture.listSetAsides(() => [{ resource: 'customers' }]);
  capture.pathsRead(5_000);
  capture.published({ ...batch, lookups: { lookups: 10, reads: 4, unresolved: 1 } });
  capture.published({
    ...batch,
    oldestCommitMs: undefined,
    lookups: { lookups: 15, reads: 4, unresolved: 1 },
  });
  expect(await values()).toEqual(
    expect.arrayContaining([
      'tandem_capture_streaming 1',
      'tandem_changes_published_total 6',
      'tandem_transactions_published_total 4',
      'tandem_publish_duration_seconds_count 2',
      'tandem_publish_delay_seconds_count 1',
      'tandem_publish_delay_seconds_sum 1',
      'tandem_account_paths_read_total 5000',
      'tandem_account_lookups_total 15',
      'tandem_account_lookups_read_total 4',
      'tandem_resource_set_aside{resource="invoices"} 0',
      'tandem_resource_set_aside{resource="customers"} 1',
    ]),
  );
  first.ended();
  // The instance that took over says what is set aside.
  expect(await values()).toEqual(
    expect.arrayContaining([
      'tandem_capture_streaming 0',
      'tandem_resource_set_aside{resource="customers"} 0',
    ]),
  );

  const second = capture.streaming();
  capture.published({ ...batch, lookups: { lookups: 2, reads: 2, unresolved: 0 } });
  expect(await values()).toEqual(
    expect.arrayContaining(['tandem_account_lookups_total 17', 'tandem_capture_sessions_total 2']),
  );
  second.ended();
});
