import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import { migrate } from '../../shared/control/migrate.ts';
import { ConnectionPool } from '../../shared/postgres/pool.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { prepareSource } from '../cli/prepare-source.ts';
import { withSource } from '../cli/source-settings.ts';
import type { SampleProduct } from '../samples/sample-plan.ts';

interface Sample {
  readonly product: SampleProduct;
  /** Of the main resource. */
  readonly rows: number;
}

export interface PrepareOptions {
  readonly databaseUrl: string;
  readonly controlDatabaseUrl: string;
  /** Path of the catalog. */
  readonly catalog: string;
  readonly publication: string;
  readonly slot: string;
  /** Whose rows to make where there are none, and how many; undefined leaves the source's rows to its owner. */
  readonly sample: Sample | undefined;
  readonly say: (line: string) => void;
}

const CONNECT_LIMIT_MS = 10_000;

/**
 * Brings the control store up to date, fills an empty sample source, and makes the source ready to be
 * streamed. Safe to repeat: what stands is left as it is.
 *
 * @throws SetupError with the SQL to run when the source's role may not run it
 */
export async function prepareDatabases(options: PrepareOptions): Promise<void> {
  const { say } = options;
  const isAnySetAside = await withPool(options.controlDatabaseUrl, async (control) => {
    await migrate(control);
    const { rowCount } = await control.query('select from tandem.feed_set_aside where until_lsn is null');
    return rowCount !== 0;
  });
  const catalog = await loadCatalog(options.catalog);
  const { databaseUrl, sample, publication, slot } = options;
  if (sample !== undefined) await withPool(databaseUrl, (pool) => makeSample(pool, sample, say));
  try {
    const statements = await withSource(databaseUrl, (source) =>
      prepareSource(
        source,
        catalog,
        { publication, slot },
        { onRefused: (line) => say(`refused, and the others go on: ${line}`) },
      ),
    );
    if (statements.length > 0) say(`prepared the source: ${statements.length} statements`);
  } catch (error) {
    // The feed ran on this source before, and goes on without what is set aside; capture says the rest.
    if (!(error instanceof SetupError) || !isAnySetAside) throw error;
    say(`going on without resources that are set aside: ${error.message}`);
  }
}

async function makeSample(
  pool: pg.Pool,
  { product, rows }: Sample,
  say: (line: string) => void,
): Promise<void> {
  await product.create(pool);
  if (await product.isFilled(pool)) return;
  const { counts } = await product.generate(pool, { rows });
  const made = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  say(`made sample data: ${made.join(', ')}`);
}

async function withPool<T>(connectionString: string, run: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = new ConnectionPool({
    connectionString,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    application_name: `tandem-start-${randomUUID().slice(0, 8)}`,
  });
  // A broken idle connection is replaced at the next query, which reports what is wrong.
  pool.on('error', () => undefined);
  try {
    return await run(pool);
  } finally {
    await pool.end();
  }
}
