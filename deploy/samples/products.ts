import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { insertCronping } from './cronping/insert-cronping.ts';
import { createDocumint, DOCUMINT_SCHEMA, generateDocumint } from './documint/generate-documint.ts';
import { insertFlagbit } from './flagbit/insert-flagbit.ts';
import { createSchema, hasRows, loadSample, type SampleSchema } from './load-sample.ts';
import { accountNames, planSample, type SamplePlan, type SampleProduct } from './sample-plan.ts';
import { insertWebhookvault } from './webhookvault/insert-webhookvault.ts';

export const DOCUMINT: SampleProduct = {
  name: 'documint',
  catalog: catalogPath('documint'),
  mainResource: 'invoices',
  create: createDocumint,
  isFilled: (db) => hasRows(db, DOCUMINT_SCHEMA),
  async generate(db, options) {
    const { invoices, customers, lineItems, accounts } = await generateDocumint(db, options);
    return { counts: { invoices, customers, line_items: lineItems }, accounts };
  },
};

export const CRONPING = simpleProduct({
  schema: {
    name: 'cronping',
    tables: ['status_pages', 'monitors', 'incidents'],
    numberedTables: ['status_pages', 'monitors', 'incidents'],
  },
  names: ['monitors', 'status_pages', 'incidents'],
  sizes: { rowsPerOwner: 40, childrenPerRow: 0.5 },
  insert: insertCronping,
});

export const FLAGBIT = simpleProduct({
  schema: {
    name: 'flagbit',
    tables: ['projects', 'flags', 'targeting_rules'],
    numberedTables: ['projects'],
  },
  names: ['flags', 'projects', 'targeting_rules'],
  sizes: { rowsPerOwner: 60, childrenPerRow: 1.5 },
  insert: insertFlagbit,
});

export const WEBHOOKVAULT = simpleProduct({
  schema: {
    name: 'webhookvault',
    tables: ['sources', 'endpoints', 'captured_requests'],
    numberedTables: ['sources', 'captured_requests'],
  },
  names: ['endpoints', 'sources', 'captured_requests'],
  sizes: { rowsPerOwner: 10, childrenPerRow: 2 },
  insert: insertWebhookvault,
});

/** The first is what everything runs with unless another is named. */
export const PRODUCTS: readonly [SampleProduct, ...SampleProduct[]] = [
  DOCUMINT,
  CRONPING,
  FLAGBIT,
  WEBHOOKVAULT,
];

/** @param catalog path of a catalog; undefined when it is none of these */
export function productOfCatalog(catalog: string): SampleProduct | undefined {
  return PRODUCTS.find((product) => product.catalog === resolve(catalog));
}

interface SimpleProduct {
  readonly schema: SampleSchema;
  /** Resources of the rows, of what owns them, and of what belongs to them. */
  readonly names: readonly [rows: string, owners: string, children: string];
  readonly sizes: Parameters<typeof planSample>[1];
  readonly insert: (plan: SamplePlan) => string[];
}

function simpleProduct({ schema, names, sizes, insert }: SimpleProduct): SampleProduct {
  const [rows, owners, children] = names;
  return {
    name: schema.name,
    catalog: catalogPath(schema.name),
    mainResource: rows,
    create: (db) => createSchema(db, schema),
    isFilled: (db) => hasRows(db, schema),
    async generate(db, options) {
      const plan = planSample(options, sizes);
      await loadSample(db, schema, insert(plan));
      return {
        counts: { [rows]: plan.rows, [owners]: plan.owners, [children]: plan.children },
        accounts: accountNames(plan.accounts),
      };
    },
  };
}

function catalogPath(name: string): string {
  return fileURLToPath(new URL(`../../schemas/catalogs/${name}.yaml`, import.meta.url));
}
