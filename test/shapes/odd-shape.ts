import { parseShape, type Shape } from './shape.ts';
import { pascal } from './shape-rows.ts';

/** As long as PostgreSQL lets a name be, in bytes. */
const NAME_BYTES = 63;

/** Fills a name up to its longest with letters of two bytes. */
function longest(word: string): string {
  const free = NAME_BYTES - Buffer.byteLength(word);
  return `${word}${'é'.repeat(Math.floor(free / 2))}${free % 2 === 1 ? '_' : ''}`;
}

const ODD_SCHEMAS: Readonly<Record<string, string>> = {
  odd: 'Vertrieb "A"."B"',
  stock: 'select',
  far: longest('Ærø'),
};
const ODD_TABLES: Readonly<Record<string, string>> = {
  tenant: 'Tenant',
  order: 'order',
  user: 'user',
  group: 'group',
  grant: 'O\'Brien\'s "Grant"',
  cafe: '名前 café 🧾',
  dotted: 'a.b.c',
  spaced: ' two  spaces ',
  backslash: 'back\\slash',
  dollar: '$1 %s {x}',
};
const ODD_COLUMNS: Readonly<Record<string, string>> = {
  id: 'ID',
  title: 'select',
  note: 'naïve "名前", x',
  amount: longest('amount'),
  sort_order: longest('amount').replace(/_$/, '1'),
  is_enabled: 'true',
  metadata: 'json->"a"',
  labels: 'Labels\\',
  due_on: '$1',
  ratio: '%',
  byte_count: '1st',
  created_at: 'Created At',
};

/** Names that are quoted, reserved, mixed-case, not ASCII, or as long as they can be; three schemas. */
export const ODD: Shape = parseShape(
  'odd',
  {
    hasForeignKeys: true,
    idType: 'bigint',
    tableName: (word) => ODD_TABLES[word] ?? longest(pascal(word)),
    columnName: (word) => ODD_COLUMNS[word] ?? word.split('_').map(pascal).join(' '),
    schemaName: (word) => ODD_SCHEMAS[word] ?? word,
  },
  `
  tenant: @
  user: tenant
  group: tenant ~user
  order: tenant ~user
  grant: order ~group
  cafe: tenant
  dotted: cafe
  stock.spaced: tenant
  stock.backslash: spaced
  stock.dollar: backslash
  stock.long_name: tenant
  far.longer_name: long_name
  far.sales_order: ?tenant
`,
  ['Tenant Id'],
);
