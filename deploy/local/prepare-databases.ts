import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createDocumint, generateDocumint } from '../../schemas/products/documint/generate-documint.ts';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import { prepareSource } from '../../shared/catalog/prepare-source.ts';
import { migrate } from '../../shared/postgres/migrate.ts';

export interface PrepareOptions {
  readonly databaseUrl: string;
  readonly controlDatabaseUrl: string;
  /** Path of the catalog. */
  readonly catalog: string;
  readonly publication: string;
  readonly slot: string;
  /** Number of invoices to make where there are none; undefined leaves the source's rows to its owner. */
  readonly sampleRows: number | undefined;
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
  await withPool(options.controlDatabaseUrl, migrate);
  const catalog = await loadCatalog(options.catalog);
  await withPool(options.databaseUrl, async (pool) => {
    if (options.sampleRows !== undefined) await makeSample(pool, options.sampleRows, say);
    const statements = await prepareSource(pool, catalog, {
      publication: options.publication,
      slot: options.slot,
    });
    if (statements.length > 0) say(`prepared the source: ${statements.length} statements`);
  });
}

async function makeSample(pool: pg.Pool, rows: number, say: (line: string) => void): Promise<void> {
  await createDocumint(pool);
  const { rows: found } = await pool.query('SELECT FROM documint.customers LIMIT 1');
  if (found.length > 0) return;
  const made = await generateDocumint(pool, { rows });
  say(
    `made sample data: ${made.customers} customers, ${made.invoices} invoices, ${made.lineItems} line items`,
  );
}

async function withPool<T>(connectionString: string, run: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({
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
