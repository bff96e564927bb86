import { readFile, writeFile } from 'node:fs/promises';
import { catalogInitCommand } from '../../deploy/cli/commands/catalog-init.ts';
import type { SampleProduct } from '../../deploy/samples/sample-plan.ts';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import { showTable } from '../../shared/catalog/parse-table-name.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { runCommand } from '../support/run-command.ts';
import { customersTables, ownerOf, type Shape, type ShapeTable } from './shape.ts';
import { generateRows, insertRows, pascal, type ShapeRows } from './shape-rows.ts';
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
 * added, so is what the draft was not sure of, and each resource gets a bulk operation.
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
  const drafted = resourcesOf(shape, await loadCatalog(path));
  await writeFile(path, `${head}${shared.join('')}${reviewed(shape, drafted, title).join('')}${left}`);
}

/** What the draft left out and a team adds, since it knows whose the rows are: by a column, by a parent, or by one of several. */
function reviewed(shape: Shape, drafted: ReadonlyMap<string, ShapeTable>, title: string): string[] {
  const { style } = shape;
  const nameOf = new Map([...drafted].map(([name, { word }]) => [word, name]));
  return customersTables(shape)
    .filter(({ word }) => !nameOf.has(word))
    .map((table) => {
      const name = `reviewed_${table.word}`;
      nameOf.set(table.word, name);
      const column = (word: string) => JSON.stringify(style.columnName(word));
      const owner = ownerOf(shape, table);
      const types = table.several.map((word) => `${pascal(word)}: ${nameOf.get(word)}`);
      const account =
        owner === undefined
          ? `{ via: ${column('subject_id')}, by: ${column('subject_type')}, to: { ${types.join(', ')} } }`
          : table.belongs === 'column'
            ? column(`${owner.word}_id`)
            : `{ via: ${column(`${owner.word}_id`)}, to: ${nameOf.get(owner.to)} }`;
      return (
        `  ${name}:\n    table: ${showTable(tableOf(shape, table))}\n    event: ${name}\n    key: [${column('id')}]\n` +
        `    account: ${account}\n    operations: { retitle: { set_from_params: [${title}] } }\n`
      );
    });
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
