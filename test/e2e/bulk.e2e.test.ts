import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { openWorld } from '../../deploy/local/demo/world.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
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
  await using world = await openWorld({
    stack: testStack(),
    directory: tmpdir(),
    rows: 4_000,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 2 },
    env: { BULK_CHUNK_ITEMS: '50' },
    log: silentLog,
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
  expect(await differencesAfter(world, customer, replica, 60_000, pull)).toEqual([]);
});
