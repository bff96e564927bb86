import type { Customer } from '../../deploy/demo/world.ts';
import { type BenchOptions, openExportWorld } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import { distribution } from './distribution.ts';
import { machineLoad } from './machine-load.ts';
import { startMeter, usageLines } from './usage-table.ts';

const EXPORT_LIMIT_MS = 600_000;

/** The first is what the others are compared with. */
const FORMATS: readonly Readonly<Record<string, string>>[] = [
  { format: 'jsonl' },
  { format: 'jsonl', compression: 'gzip' },
  { format: 'jsonl', compression: 'zstd' },
  { format: 'csv' },
  { format: 'csv', compression: 'gzip' },
  { format: 'parquet' },
];

const SMALL_ACCOUNTS = 20;
const SMALL_ACCOUNT_ROWS = 100;
const SMALL_EXPORTS = 1_000;
/** Exports that an account has under way: as many as one may run at once. */
const UNDER_WAY = 3;

/** The same rows in each format, in one run, and a thousand exports of small accounts side by side. */
export async function benchFormats(options: BenchOptions): Promise<void> {
  const { say } = options;
  await using world = await openExportWorld(options, { accounts: SMALL_ACCOUNTS, rows: SMALL_ACCOUNT_ROWS });
  const [main = '', ...small] = world.generated.accounts;
  const customer = await world.createCustomer(main);
  /** @returns rows per second */
  const measure = async (request: Readonly<Record<string, string>>): Promise<number> => {
    const meter = startMeter(world.services, options.parts);
    const body = { resource: 'invoices', include_deleted: true, ...request };
    const { view, seconds } = await timedExport(customer, body, EXPORT_LIMIT_MS);
    const usage = meter.stop();
    const exported = view.files?.[0]?.rows ?? 0;
    const megabytes = (view.files?.[0]?.bytes ?? 0) / 1e6;
    say(
      `${Object.values(request).join(' + ')}: ${exported} invoices, ${megabytes.toFixed(0)} MB in ${seconds.toFixed(2)} s, ` +
        `${Math.round(exported / seconds)} rows/s; ${machineLoad()}`,
    );
    for (const line of usageLines(usage, exported)) say(line);
    return exported / seconds;
  };
  say('once before anything is measured, while processes still compile');
  await measure({ format: 'jsonl' });
  let base = 0;
  for (const format of FORMATS) {
    const perSecond = await measure(format);
    if (base === 0) base = perSecond;
    else say(`  ${(base / perSecond).toFixed(2)} times as long as JSON Lines`);
  }
  const customers: Customer[] = [];
  for (const sourceId of small) customers.push(await world.createCustomer(sourceId));
  for (const each of customers) await timedExport(each, { resource: 'invoices' }, EXPORT_LIMIT_MS);
  const meter = startMeter(world.services, options.parts);
  const startedMs = performance.now();
  const tookMs: number[] = [];
  let begun = 0;
  const work = async (each: Customer): Promise<void> => {
    while (begun < SMALL_EXPORTS) {
      begun += 1;
      const { seconds } = await timedExport(each, { resource: 'invoices' }, EXPORT_LIMIT_MS);
      tookMs.push(seconds * 1_000);
    }
  };
  await Promise.all(customers.flatMap((each) => Array.from({ length: UNDER_WAY }, () => work(each))));
  const seconds = (performance.now() - startedMs) / 1_000;
  say(
    `${tookMs.length} exports of ${SMALL_ACCOUNTS} accounts of some ${SMALL_ACCOUNT_ROWS} rows, ${UNDER_WAY} at once for each: ` +
      `${Math.round((tookMs.length / seconds) * 60)} a minute, each ${distribution(tookMs)}; ${machineLoad()}`,
  );
  for (const line of usageLines(meter.stop(), tookMs.length)) say(line);
}
