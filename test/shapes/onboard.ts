import { readFile, writeFile } from 'node:fs/promises';
import { catalogInitCommand } from '../../deploy/cli/commands/catalog-init.ts';
import type { SampleProduct } from '../../deploy/samples/sample-plan.ts';
import { showTable } from '../../shared/catalog/parse-table-name.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { runCommand } from '../support/run-command.ts';
import { customersTables, type Shape, type ShapeTable } from './shape.ts';
import { generateRows, insertRows, type ShapeRows } from './shape-rows.ts';
import { shapeSql, tableOf } from './shape-sql.ts';

/** Rows of each table for each account. */
const ROWS_EACH = 4;

export interface ShapeProduct extends SampleProduct {
  readonly shape: Shape;
  /** What the product has, by the generator's own word. */
  readonly rows: ShapeRows;
}

/**
 * A product of this shape, whose catalog is the draft of `catalog init` after a review that every team makes: what is everybody's is
 * added, and each resource gets a bulk operation.
 *
 * @param serverUrl any database of the server; the product's own is that of the session that generates
 */
export function shapeProduct(shape: Shape, serverUrl: string, catalog: string): ShapeProduct {
  const rows = generateRows(shape, ROWS_EACH);
  const create: SampleProduct['create'] = async (db) => {
    await db.query(shapeSql(shape).join(';\n'));
  };
  return {
    shape,
    name: shape.name,
    catalog,
    mainResource: shape.name,
    rows,
    create,
    isFilled: () => Promise.resolve(false),
    async generate(db) {
      await create(db);
      await insertRows(db, shape, rows.rows);
      await db.query('analyze');
      const found = await db.query<{ name: string }>('select current_database() as name');
      const url = new URL(serverUrl);
      url.pathname = `/${found.rows[0]?.name}`;
      await draftCatalog(shape, url.href, catalog);
      return { counts: {}, accounts: rows.accounts };
    },
  };
}

/** Drafts the catalog as a team would, and reviews it. */
export async function draftCatalog(shape: Shape, databaseUrl: string, path: string): Promise<void> {
  const named = shape.accountColumns.length === 0 ? [] : ['--account', shape.accountColumns.join(',')];
  await runCommand(catalogInitCommand, ['--output', path, ...named], {
    env: { DATABASE_URL: databaseUrl },
    home: '',
  });
  const title = JSON.stringify(shape.style.columnName('title'));
  const draft = (await readFile(path, 'utf8')).replaceAll(
    /^ {4}# operations: .*$/gm,
    `    operations: { retitle: { set_from_params: [${title}] } }`,
  );
  const shared = shape.tables
    .filter(({ belongs }) => belongs === 'everybody')
    .map((table) => {
      const { schema, name } = tableOf(shape, table);
      const id = JSON.stringify(shape.style.columnName('id'));
      return `  shared_${table.word}: { table: ${schema}.${name}, event: shared_${table.word}, key: [${id}], account: shared }\n`;
    });
  const [head = '', left = ''] = draft.split(/^(?=# Left out)/m);
  await writeFile(path, `${head}${shared.join('')}${left}`);
}

/** The resource of each of the customers' tables, as far as the catalog has one. */
export function resourcesOf(shape: Shape, catalog: Catalog): ReadonlyMap<string, ShapeTable> {
  const byTable = new Map(customersTables(shape).map((table) => [showTable(tableOf(shape, table)), table]));
  return new Map(
    catalog.resources.flatMap(({ name, table }) => {
      const found = byTable.get(showTable(table));
      return found === undefined ? [] : [[name, found] as const];
    }),
  );
}
