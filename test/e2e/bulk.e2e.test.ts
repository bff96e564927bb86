import pg from 'pg';
import { expect, test } from 'vitest';
import type { FeedEvent } from '../../deploy/demo/replica.ts';
import type { Customer } from '../../deploy/demo/world.ts';
import { createExport, differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

interface Job {
  job_id: string;
  status: string;
  processed: number;
  succeeded: number;
  failed: number;
  skipped: number;
  total: number;
}

test('what a bulk operation changes reaches the feed like any other change, also when its workers are killed', async () => {
  await using world = await openTestWorld({
    rows: 4_000,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 2 },
    env: { BULK_CHUNK_ITEMS: '50' },
  });
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const { id: exportId } = await createExport(world, customer);
  const replica = await loadExport(world, customer, exportId);
  const { job_id: jobId } = await customer.client.call<Job>('POST', '/bulk/operations', {
    resource: 'invoices',
    operation: 'update',
    async: true,
    filter: { status: { in: ['open', 'paid', 'draft'] } },
    params: { memo: 'checked in bulk' },
  });
  // Meanwhile the product changes records that the job leaves alone.
  await using product = await openProduct(world.sourceUrl);
  const { rows: voided } = await product.client.query<{ id: string }>(
    "update documint.invoices set memo = 'by the product' where account_id = $1 and status = 'void' returning id",
    [customer.sourceId],
  );
  const read = () => customer.client.call<Job>('GET', `/bulk/operations/${jobId}`);
  for (const index of [0, 1]) {
    const { processed } = await read();
    await waitFor('the job goes on', async () => {
      const job = await read();
      return job.processed > processed || job.status === 'completed';
    });
    world.services.kill('bulk', index, 'SIGKILL');
  }
  const job = await waitFor('the job has ended', async () => {
    const found = await read();
    return found.status === 'completed' ? found : undefined;
  });
  expect(job.total).toBeGreaterThan(500);
  expect(job).toMatchObject({ succeeded: job.total, processed: job.total, failed: 0, skipped: 0 });
  let after = `after_export=${exportId}`;
  const pull = async () => {
    after = await pullFeed(customer, after, replica);
  };
  expect(await differencesAfter(world, customer, replica, pull)).toEqual([]);

  const events = await eventsAfter(customer, exportId);
  const ofJob = events.filter(({ source }) => source?.bulk_job_id === jobId);
  expect(ofJob.map(({ data }) => data.memo)).toEqual(Array(job.total).fill('checked in bulk'));
  const others = events.filter((event) => !('source' in event));
  expect(others.map(({ data }) => data.memo)).toEqual(voided.map(() => 'by the product'));
  expect(others.length).toBeGreaterThan(0);
  expect(ofJob.length + others.length).toBe(events.length);
});

async function openProduct(url: string): Promise<AsyncDisposable & { client: pg.Client }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

async function eventsAfter(customer: Customer, exportId: string): Promise<FeedEvent[]> {
  const events: FeedEvent[] = [];
  let query = `after_export=${exportId}`;
  for (;;) {
    const page = await customer.client.call<{ data: FeedEvent[]; next_cursor: string | null }>(
      'GET',
      `/events?${query}&limit=1000`,
    );
    events.push(...page.data);
    if (page.data.length === 0) return events;
    query = `after=${encodeURIComponent(page.next_cursor ?? '')}`;
  }
}
