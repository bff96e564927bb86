import { join } from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { ownedSql } from '../../../shared/catalog/account-sql.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { resourcesOf, shapeProduct } from '../../shapes/onboard.ts';
import { customersTables } from '../../shapes/shape.ts';
import { SHAPES } from '../../shapes/shapes.ts';
import { createDatabase, testStack } from '../../support/stack.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** Of the tables that belong to a customer, those that have to work without a change to the source. */
const GOAL = 0.9;

const shares: string[] = [];
afterAll(() => console.info(`customers' tables that work as they are: ${shares.join(', ')}`));

test.each(SHAPES.map((shape) => [shape.name, shape] as const))(
  'the draft for a product like %s fits its source, and gives each customer what is theirs',
  async (_name, shape) => {
    await using database = await createDatabase('shapes');
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      const path = join(temporaryDirectory(), 'catalog.yaml');
      const product = shapeProduct(shape, testStack().databaseUrl, path);
      await product.generate(client, { rows: 0 });
      const catalog = await loadCatalog(path);
      await prepareSource(client, catalog, { publication: shape.name });
      expect(await checkCatalog(client, catalog, { publication: shape.name })).toEqual([]);

      const resources = resourcesOf(shape, catalog);
      for (const account of product.rows.accounts) {
        const counts = catalog.resources
          .filter(({ name }) => resources.has(name))
          .map((resource) => {
            const owned = ownedSql(
              resource,
              (column) => `t.${quoteIdent(column)}`,
              (column) => `${column}::text = $1`,
            );
            return `select '${resource.name}' as name, count(*)::int as count from ${quoteTable(resource.table)} t where ${owned}`;
          });
        const { rows } = await client.query<{ name: string; count: number }>(counts.join(' union all '), [
          account,
        ]);
        const expected = [...resources].map(([name, { word }]) => {
          const own = product.rows.rows.get(word)?.filter((row) => row.account === account);
          return { name, count: own?.length };
        });
        expect(rows.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual(
          expected.toSorted((a, b) => a.name.localeCompare(b.name)),
        );
      }
      const wanted = customersTables(shape);
      const drafted = [...resources.keys()].filter((name) => !name.startsWith('reviewed_')).length;
      shares.push(`${shape.name} ${resources.size} of ${wanted.length} (${drafted} by the draft alone)`);
      const missing = wanted
        .filter((table) => ![...resources.values()].includes(table))
        .map(({ word }) => word);
      expect(missing.length / wanted.length, missing.join(', ')).toBeLessThanOrEqual(1 - GOAL);
    } finally {
      await client.end();
    }
  },
);
