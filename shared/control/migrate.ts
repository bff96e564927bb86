import { readdir, readFile } from 'node:fs/promises';
import type { Pool } from 'pg';

const MIGRATIONS = new URL('./migrations/', import.meta.url);

/** Any constant will do; it only has to be the same in every process that migrates. */
const MIGRATION_LOCK = 7_264_113;

/**
 * Brings the control store's schema `tandem` up to date. Every service may call it at start: one migrates
 * under an advisory lock, the others wait and find nothing left. Each file is one transaction.
 *
 * @returns the names of the files that were applied now
 */
export async function migrate(pool: Pool): Promise<string[]> {
  const client = await pool.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query('create schema if not exists tandem');
    await client.query(`create table if not exists tandem.migrations (
      name text primary key, applied_at timestamptz not null default now())`);
    const { rows } = await client.query<{ name: string }>('select name from tandem.migrations');
    const done = new Set(rows.map((row) => row.name));
    const files = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).sort();
    const pending = files.filter((name) => !done.has(name));
    for (const name of pending) await applyMigration(client, name);
    return pending;
  } finally {
    // Ending the session gives the advisory lock back, whatever happened before.
    client.release(true);
  }
}

async function applyMigration(
  client: { query(text: string, values?: unknown[]): Promise<unknown> },
  name: string,
): Promise<void> {
  const sql = await readFile(new URL(name, MIGRATIONS), 'utf8');
  try {
    await client.query('begin');
    await client.query('set local search_path to tandem');
    await client.query(sql);
    await client.query('insert into tandem.migrations (name) values ($1)', [name]);
    await client.query('commit');
  } catch (cause) {
    await client.query('rollback');
    throw new Error(`applying the migration ${name}`, { cause });
  }
}
