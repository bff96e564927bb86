import { join } from 'node:path';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import type { BenchOptions } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
import { openSlowSource } from './slow-source.ts';

const EXTRACTORS = [1, 2];

const SLOW_BYTES_PER_SECOND = 2_000_000;

const EXPORT_LIMIT_MS = 600_000;

/**
 * One export by one and by two extractors: from a source that is as fast as it can be, where all processes of this machine
 * share its processors, and from one that is slow to each session, where only more sessions help.
 */
export async function benchExtractors(options: BenchOptions): Promise<void> {
  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    rows: options.rows,
    accounts: 1,
    services: { api: 1, writer: 1, capture: 1, dispatcher: 1 },
    log: options.log,
  });
  await using slow = await openSlowSource(world.sourceUrl, SLOW_BYTES_PER_SECOND);
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const sources = [
    { which: 'a source as fast as it can be', url: world.sourceUrl },
    { which: `a source that gives a session ${SLOW_BYTES_PER_SECOND / 1e6} MB/s`, url: slow.url },
  ];
  for (const { which, url } of sources) {
    for (const count of EXTRACTORS) await measure(world, customer, { which, url, count }, options);
  }
}

async function measure(
  world: World,
  customer: Customer,
  { which, url, count }: { which: string; url: string; count: number },
  { say, log, directory }: BenchOptions,
): Promise<void> {
  await using extractors = await startServices({
    env: { ...world.env, DATABASE_URL: url },
    services: { extractor: count },
    log,
    home: join(directory, `extractors-${count}`),
  });
  await extractors.untilReady();
  // Connects everything to everything, as in a process that has been at work before.
  await timedExport(customer, { resource: 'customers', fields: ['id'] }, EXPORT_LIMIT_MS);
  const { view, seconds } = await timedExport(
    customer,
    { resource: 'invoices', include_deleted: true },
    EXPORT_LIMIT_MS,
  );
  const rows = view.files?.[0]?.rows ?? 0;
  say(
    `${count} extractor${count === 1 ? '' : 's'}, ${which}: ${rows} invoices in ${seconds.toFixed(1)} s, ` +
      `${Math.round(rows / seconds)} rows/s; ${machineLoad()}`,
  );
}
