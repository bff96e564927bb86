import { expect, test } from 'vitest';
import { addQueueMetrics } from '../../../services/api/admin/metrics-routes.ts';
import { addSlotMetrics } from '../../../shared/catalog/slot-health.ts';
import { createMetrics } from '../../../shared/runtime/metrics.ts';
import { openTestApi } from '../../support/api-server.ts';

test('what waits is told by state, and nothing is made up once the control store is away', async () => {
  await using api = await openTestApi();
  const { key } = await api.account();
  await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  const metrics = createMetrics();
  let nowMs = 0;
  addQueueMetrics(metrics, api.pool, () => nowMs);
  addSlotMetrics(metrics, { latest: () => undefined });
  const samples = async () =>
    (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(await samples()).toEqual(
    expect.arrayContaining([
      'tandem_exports{state="pending"} 1',
      'tandem_exports{state="running"} 0',
      'tandem_deliveries_parked{state="dead"} 0',
      'tandem_outbox{state="waiting"} 2',
    ]),
  );
  // Neither the feed nor the slot has been seen: that is no zero.
  expect((await samples()).filter((line) => /feed|slot/.test(line))).toEqual([]);
  await api.pool.end();
  nowMs = 10_000;
  expect(await samples()).toEqual([]);
});
