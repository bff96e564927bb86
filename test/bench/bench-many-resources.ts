import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openWorld } from '../../deploy/demo/world.ts';
import type { SampleProduct } from '../../deploy/samples/sample-plan.ts';
import type { BenchOptions } from './bench-exports.ts';
import { timedExport } from './bench-small-exports.ts';
import { machineLoad } from './machine-load.ts';
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
    product: await manyTables(directory),
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

/** A product of equal tables, with columns as they are common. Its catalog is written into `directory`. */
async function manyTables(directory: string): Promise<SampleProduct> {
  const names = Array.from({ length: RESOURCES }, (_, index) => `things_${String(index).padStart(3, '0')}`);
  await mkdir(directory, { recursive: true });
  const catalog = join(directory, 'many-tables.yaml');
  const entries = names.map(
    (name) => `  ${name}: { table: many.${name}, event: ${name}, key: [id], account: account_id }`,
  );
  await writeFile(catalog, `catalog: many\nresources:\n${entries.join('\n')}\n`);
  const create: SampleProduct['create'] = async (db) => {
    await db.query('create schema if not exists many');
    for (const name of names) {
      await db.query(
        `create table if not exists many.${name} (id bigint primary key, account_id text not null, title text,
           amount numeric(12,2), settings jsonb, created_at timestamptz not null default now())`,
      );
    }
  };
  return {
    name: 'many',
    catalog,
    mainResource: names[0] ?? '',
    create,
    async generate(db, { rows }) {
      await create(db);
      for (const name of names) {
        await db.query(
          `insert into many.${name} (id, account_id, title, amount, settings)
           select g, 'acc_001', 'thing number ' || g, g * 1.25, jsonb_build_object('size', g)
           from generate_series(1, $1::bigint) g`,
          [rows],
        );
      }
      await db.query('analyze');
      return { counts: Object.fromEntries(names.map((name) => [name, rows])), accounts: ['acc_001'] };
    },
    async isFilled(db) {
      const { rows } = await db.query<{ found: string | null }>(`select to_regclass($1)::text as found`, [
        `many.${names[0]}`,
      ]);
      return rows[0]?.found != null;
    },
  };
}
