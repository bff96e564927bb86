import pg from 'pg';
import { expect, test } from 'vitest';
import { readTables } from '../../../deploy/cli/catalog-draft/read-tables.ts';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { readTableFacts } from '../../../shared/catalog/table-facts.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { createDatabase } from '../../support/stack.ts';

const FEW = 60;
const MANY = 240;

/** Indexes of larger catalogs are a page deeper, and plans differ. What grew with the square would be four times as much. */
const LEEWAY = 2;

/** Pages that the server looks at for all statements of a piece of work, which do not depend on how busy the machine is. */
async function pagesOf(db: pg.Client, work: (counted: Queryable) => Promise<unknown>): Promise<number> {
  let pages = 0;
  const counted = {
    async query(asked: string | pg.QueryConfig, given?: unknown[]) {
      const { text, values = given } = typeof asked === 'string' ? { text: asked } : asked;
      const { rows } = await db.query(`explain (analyze, buffers, format json) ${text}`, values);
      const [{ Plan: plan }] = rows[0]['QUERY PLAN'];
      pages += plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
      return db.query(text, values);
    },
  };
  await work(counted as unknown as Queryable);
  return pages;
}

async function costsOf(count: number): Promise<Record<string, number>> {
  await using database = await createDatabase('many_tables');
  const db = new pg.Client({ connectionString: database.url });
  await db.connect();
  try {
    const names = Array.from({ length: count }, (_, at) => `t_${at}`);
    const tables = names.map(
      (name) => `create table many.${name} (id bigint primary key, account_id text not null, body text)`,
    );
    await db.query(`create schema many; ${tables.join('; ')}`);
    const lines = names.map(
      (name) => `  ${name}: { table: many.${name}, event: ${name}, key: [id], account: account_id }`,
    );
    const catalog = parseCatalog(`catalog: many\nresources:\n${lines.join('\n')}\n`, 'many.yaml');
    const unprepared = await pagesOf(db, (counted) =>
      checkCatalog(counted, catalog, { publication: 'feed' }),
    );
    await prepareSource(db, catalog, { publication: 'feed' });
    await db.query('analyze');
    return {
      unprepared,
      check: await pagesOf(db, (counted) => checkCatalog(counted, catalog, { publication: 'feed' })),
      watch: await pagesOf(db, (counted) => readTableFacts(counted, catalog.resources, 'feed')),
      learn: await pagesOf(db, (counted) => loadTypes(counted, [20, 25])),
      draft: await pagesOf(db, (counted) => readTables(counted, undefined)),
    };
  } finally {
    await db.end();
  }
}

test('what is read of the source grows with the number of tables, and no faster', async () => {
  const [few, many] = [await costsOf(FEW), await costsOf(MANY)];
  const growth = Object.entries(many).map(([what, pages]) => [what, pages / (few[what] ?? 0)] as const);
  for (const [what, factor] of growth) expect([what, factor < (MANY / FEW) * LEEWAY]).toEqual([what, true]);
});
