import { type BenchOptions, openExportWorld } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
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

/** The same rows in each format, in one run. */
export async function benchFormats(options: BenchOptions): Promise<void> {
  const { say } = options;
  await using world = await openExportWorld(options, { accounts: 0, rows: 0 });
  const [main = ''] = world.generated.accounts;
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
}
