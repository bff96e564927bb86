import { expect, test } from 'vitest';
import { ADMIN_KEY, openTestApi } from '../../support/api-server.ts';

test('what waits is shown by state, requests by route and status, and nothing is made up once the control store is away', async () => {
  let nowMs = Date.now();
  await using api = await openTestApi({ status: { now: () => nowMs } });
  const { key } = await api.account();
  const { json } = await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  await api.call('GET', `/exports/${json.id}`, { key });
  await api.call('GET', '/exports/exp_other', { key });
  await api.call('GET', '/nothing/here', { key });
  const samples = async () => {
    const { text } = await api.call('GET', '/metrics', { key: ADMIN_KEY });
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  };
  const found = await samples();
  expect(found).toEqual(
    expect.arrayContaining([
      'tandem_exports{state="queued"} 1',
      'tandem_exports{state="extracting"} 0',
      'tandem_deliveries_parked{state="dead"} 0',
      'tandem_outbox{state="waiting"} 2',
      'tandem_dependency_up{dependency="control_store"} 1',
      'tandem_dependency_up{dependency="kafka"} 0',
      'tandem_bottleneck{code="kafka_silent"} 1',
      'tandem_bottleneck{code="outbox_waits"} 0',
      'tandem_http_requests_total{method="POST",route="/exports",status="202"} 1',
      'tandem_http_requests_total{method="GET",route="/exports/{id}",status="200"} 1',
      'tandem_http_requests_total{method="GET",route="/exports/{id}",status="404"} 1',
      'tandem_http_requests_total{method="GET",route="unmatched",status="404"} 1',
      'tandem_http_request_duration_seconds_count{method="GET",route="/exports/{id}"} 2',
      'tandem_http_requests_in_progress 1',
    ]),
  );
  // Neither the feed nor the slot has been seen, and no consumer: that is no zero.
  expect(found.filter((line) => /feed_age|slot|consumer/.test(line))).toEqual([]);
  await api.doorPool.end();
  nowMs += 60_000;
  const left = (await samples()).filter((line) => !line.startsWith('tandem_http_'));
  expect(left.filter((line) => !/dependency_up|bottleneck/.test(line))).toEqual([
    'tandem_source_transaction_age_seconds{owner="tandem"} 0',
    'tandem_source_xmin_age_transactions 0',
  ]);
  expect(left).toContain('tandem_dependency_up{dependency="control_store"} 0');
});
