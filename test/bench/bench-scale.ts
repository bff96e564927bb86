import { type Customer, openWorld } from '../../deploy/demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import type { Usage } from './process-usage.ts';
import { startMeter } from './usage-table.ts';

/** The large account has this many times the rows of the small one. */
const FACTOR = 10;

const EXPORT_LIMIT_MS = 1_800_000;

/**
 * Whether memory depends on the number of rows: the same processes, once warm, export an account and then one ten times as
 * large, and the peak of each process during either is shown.
 */
export async function benchScale({
  stack,
  parts,
  directory,
  rows,
  copies,
  log,
  say,
}: BenchOptions): Promise<void> {
  const fewRows = Math.ceil(rows / FACTOR);
  await using world = await openWorld({
    stack,
    directory,
    rows: rows + fewRows,
    accounts: 2,
    mainAccountShare: rows / (rows + fewRows),
    services: { api: 1, extractor: copies, writer: copies, capture: 1, dispatcher: 1 },
    log,
  });
  const measure = async (customer: Customer) => {
    // The first export of an account waits for the feed; what follows is the same for any.
    await timedExport(customer, { resource: 'customers', fields: ['id'] });
    const meter = startMeter(world.services, parts);
    const { view, seconds } = await timedExport(
      customer,
      { resource: 'invoices', include_deleted: true },
      EXPORT_LIMIT_MS,
    );
    const exported = view.files?.[0]?.rows ?? 0;
    say(
      `${exported} invoices, ${Math.round((view.files?.[0]?.bytes ?? 0) / 2 ** 20)} MB, in ${seconds.toFixed(1)} s: ` +
        `${Math.round(exported / seconds)} rows/s`,
    );
    return meter.stop();
  };
  const [largeId = '', smallId = ''] = world.generated.accounts;
  const small = await world.createCustomer(smallId);
  say(
    'the small account once to warm up: what has just started has not its usual heap yet, whatever it exports',
  );
  await measure(small);
  const before = await measure(small);
  const after = await measure(await world.createCustomer(largeId));
  say('peak memory of the largest process of each, and its growth with ten times the rows:');
  for (const [name, { peakBytes }] of after) say(growthLine(name, before.get(name), peakBytes));
}

function growthLine(name: string, before: Usage | undefined, peakBytes: number): string {
  const megabytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MB`.padStart(8);
  const beforeBytes = before?.peakBytes ?? 0;
  const growth = (100 * (peakBytes - beforeBytes)) / Math.max(beforeBytes, 1);
  return `    ${name.padEnd(14)} ${megabytes(beforeBytes)} ${megabytes(peakBytes)} ${growth.toFixed(0).padStart(5)} %`;
}
