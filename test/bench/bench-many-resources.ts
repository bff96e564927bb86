import { openWorld } from '../../deploy/demo/world.ts';
import type { BenchOptions } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
import { manyTables } from './many-tables.ts';
import { startMeter, usageLines } from './usage-table.ts';

const RESOURCES = 200;
const ROWS_EACH = 100;
/** The first makes schemas known and connects everything to everything. */
const EXPORTS = 4;

const EXPORT_LIMIT_MS = 120_000;

/**
 * One export of many small resources, as the tables of a whole product are for one of its customers: there a row costs
 * nothing, and a resource does.
 */
export async function benchManyResources(options: BenchOptions): Promise<void> {
  const { say, stack, directory, copies, log } = options;
  await using world = await openWorld({
    stack,
    directory,
    product: await manyTables(directory, RESOURCES),
    rows: ROWS_EACH,
    accounts: 1,
    services: { api: 1, extractor: copies, writer: copies, capture: 1, dispatcher: 1 },
    log,
  });
  const resources = world.catalog.resources.map(({ name }) => name);
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  for (let run = 1; run <= EXPORTS; run += 1) {
    const meter = startMeter(world.services, options.parts);
    const { view, seconds } = await timedExport(customer, { resources }, EXPORT_LIMIT_MS);
    const usage = meter.stop();
    const rows = view.files?.reduce((sum, file) => sum + file.rows, 0) ?? 0;
    say(
      `export ${run}: ${view.files?.length} resources, ${rows} rows in ${seconds.toFixed(2)} s, ` +
        `${((seconds / RESOURCES) * 1000).toFixed(1)} ms a resource; ${machineLoad()}`,
    );
    for (const line of usageLines(usage, RESOURCES)) say(line);
  }
}
