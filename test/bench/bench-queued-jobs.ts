import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { openWorld } from '../../deploy/demo/world.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import type { BenchOptions } from './bench-exports.ts';
import { distribution } from './distribution.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const ACCOUNTS = 50;
const ITEMS_PER_JOB = 20;
const LIMIT_MS = 600_000;

/** Bulk jobs of fifty accounts that are all queued before a worker starts: how long until all have ended, and what a job costs. */
export async function benchQueuedJobs({ jobs, say, ...options }: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: ACCOUNTS * ITEMS_PER_JOB,
    accounts: ACCOUNTS,
    mainAccountShare: 1 / ACCOUNTS,
    services: { api: 1 },
    env: { BULK_MAX_SLOT_LAG_MB: '1000000', MAX_QUEUED_BULK: '10000' },
    log: options.log,
  });
  await using cleanup = new AsyncDisposableStack();
  const control = new pg.Pool({ connectionString: world.controlUrl, max: 1 });
  cleanup.defer(() => control.end());
  const perAccount = Math.ceil(jobs / ACCOUNTS);
  for (const sourceId of world.generated.accounts) {
    const { client } = await world.createCustomer(sourceId);
    const ids = Array.from({ length: ITEMS_PER_JOB }, (_, n) => `${n + 1}`);
    for (let n = 0; n < perAccount; n += 1) {
      const body = { resource: 'invoices', operation: 'update', async: true, ids, params: { memo: `${n}` } };
      await client.call('POST', '/bulk/operations', body);
    }
  }
  const count = perAccount * ACCOUNTS;
  const services = cleanup.use(
    await startServices({
      env: world.env,
      services: { bulk: options.copies },
      log: options.log,
      home: join(options.directory, world.prefix, 'queued'),
    }),
  );
  await services.untilReady();
  const meter = startMeter(services, options.parts);
  const startedMs = performance.now();
  const deadlineMs = startedMs + LIMIT_MS;
  const ended = async () => {
    const { rows } = await control.query<{ count: number }>(
      `select count(*)::int as count from tandem.bulk_jobs where status in ('completed', 'failed', 'cancelled')`,
    );
    return rows[0]?.count ?? 0;
  };
  while ((await ended()) < count) {
    if (performance.now() > deadlineMs) throw new Error('the queued jobs did not end in ten minutes');
    await delay(100);
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const { rows } = await control.query<{ ms: number }>(
    `select extract(epoch from max(ended_at) - min(admitted_at))::float8 * 1000 as ms
       from tandem.bulk_jobs group by account_id`,
  );
  say(
    `${count} queued jobs of ${ACCOUNTS} accounts, ${ITEMS_PER_JOB} items each: ended after ${seconds.toFixed(1)} s, ` +
      `${(count / seconds).toFixed(0)} jobs/s; an account's last: ${distribution(rows.map(({ ms }) => ms))}; ${machineLoad()}`,
  );
  for (const line of usageLines(meter.stop(), count)) say(line);
}
