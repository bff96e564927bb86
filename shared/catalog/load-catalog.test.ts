import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SetupError } from '../runtime/errors.ts';
import { loadCatalog, parseCatalog } from './load-catalog.ts';

const MINIMAL = `catalog: shop
resources:
  orders:
    table: public.orders
    event: order
    key: [id]
    account: account_id
`;

function findingsOf(text: string): readonly string[] {
  try {
    parseCatalog(text, 'shop.yaml');
  } catch (error) {
    if (error instanceof SetupError) return error.findings;
    throw error;
  }
  return [];
}

test('a catalog that says only what it must gets the defaults', () => {
  expect(parseCatalog(MINIMAL, 'shop.yaml')).toEqual({
    name: 'shop',
    resources: [
      {
        name: 'orders',
        table: { schema: 'public', name: 'orders' },
        event: 'order',
        key: ['id'],
        account: 'account_id',
        range: undefined,
        softDelete: undefined,
        hide: [],
        related: [],
        operations: {},
        syncLimit: 100,
      },
    ],
  });
});

test('the DocuMint catalog is usable and keeps its operations as written', async () => {
  const catalog = await loadCatalog(join(import.meta.dirname, '../../schemas/catalogs/documint.yaml'));
  expect(catalog.resources.map(({ name }) => name)).toEqual(['customers', 'invoices', 'line_items']);
  expect(catalog.resources[1]).toMatchObject({
    table: { schema: 'documint', name: 'invoices' },
    softDelete: 'deleted_at',
    hide: ['internal_notes'],
    related: ['customers', 'line_items'],
    syncLimit: 1000,
    operations: {
      void: { set: { status: 'void' }, skip_when: { status: 'void' } },
      update: { set_from_params: ['status', 'memo'] },
      delete: { soft: true },
      render: { http: { url: 'http://127.0.0.1:9000/render', timeout_ms: 5000 } },
    },
  });
});

test('every problem is told at once, each with its line and field', () => {
  const text = `catalog: Shop 1
resources: {}
colour: red
`;
  expect(findingsOf(text)).toEqual([
    'shop.yaml:1: catalog: must start with a letter and hold only a-z, 0-9 and _ (63 characters at most)',
    'shop.yaml:2: resources: names no resource',
    'shop.yaml:3: colour: is not a field of a catalog',
  ]);
});

test('problems of several resources are told together, in the order of the file', () => {
  const text = `catalog: shop
resources:
  orders:
    table: orders
    event: order
    key: [id]
    account: account_id
    hide: [note, id]
    related: [lines, orders, parcels]
  lines:
    table: public.lines
    key: []
    account: account_id
    sync_limit: 0
    colour: red
  Big-Ones:
    table: public.big
    event: order
    key: [id]
    account: account_id
`;
  expect(findingsOf(text)).toEqual([
    'shop.yaml:4: resources.orders.table: must be a table with its schema, like public.invoices (odd names in double quotes)',
    "shop.yaml:8: resources.orders.hide[1]: id can't be hidden: it is the key column",
    'shop.yaml:9: resources.orders.related[1]: orders is the resource itself',
    'shop.yaml:9: resources.orders.related[2]: there is no resource parcels',
    'shop.yaml:10: resources.lines.event: must be a name',
    'shop.yaml:12: resources.lines.key: must name at least one column',
    'shop.yaml:14: resources.lines.sync_limit: must be at least 1',
    'shop.yaml:15: resources.lines.colour: is not a field of a catalog',
    "shop.yaml:16: resources.Big-Ones: the resource's name must start with a letter and hold only a-z, 0-9 and _ (63 characters at most)",
    'shop.yaml:18: resources.Big-Ones.event: is the event of orders too',
  ]);
});

const PATHS = `${MINIMAL}  lines:
    table: public.lines
    event: line
    key: [id]
    account: { via: order_id }
  notes:
    table: public.notes
    event: note
    key: [id]
    account: { via: [lineId, order_id] }
`;

test('a resource has the account of what its column refers to, over any number of hops', () => {
  const [orders, lines, notes] = parseCatalog(PATHS, 'shop.yaml').resources;
  expect(orders?.account).toBe('account_id');
  expect(lines?.account).toEqual({ columns: ['order_id'], parents: [{ resource: orders }] });
  expect(notes?.account).toEqual({ columns: ['lineId'], parents: [{ resource: lines }] });
  const named = PATHS.replace('{ via: order_id }', '{ via: parent, to: orders }').replace(
    '{ via: [lineId, order_id] }',
    '{ via: lines.of }',
  );
  expect(parseCatalog(named, 'shop.yaml').resources.map(({ account }) => account)).toEqual([
    'account_id',
    { columns: ['parent'], parents: [{ resource: orders }] },
    { columns: ['of'], parents: [{ resource: expect.objectContaining({ name: 'lines' }) }] },
  ]);
});

test.each([
  [
    '{ via: buyer_id }',
    'which resource buyer_id refers to is not clear: say it, like {via: buyer_id, to: orders}',
  ],
  ['{ via: buyer_id, to: buyers }', 'there is no resource buyers'],
  ['{ via: [[a, b]], to: orders }', 'has 2 columns, and the key of orders (id) has 1 column'],
  ['{ via: note_id }', 'leads in a circle: lines, notes, lines; end it at a resource with an account column'],
  ['{ via: [order_id, buyer_id] }', 'continues behind orders, which has the account column account_id'],
  ...[
    '{ via: { Order: order_id } }',
    '{ via: of_id, by: of_type }',
    '{ via: of_id, by: of_type, to: {} }',
  ].map((rule) => [
    rule,
    'a path to several kinds of parents is {via: owner_id, by: owner_type, to: {Invoice: invoices, Customer: customers}}, with one hop',
  ]),
  ['{ via: of_id, by: of_type, to: { Order: orders, Buyer: buyers } }', 'there is no resource buyers'],
  [
    '{ via: [[a, b]], by: of_type, to: { Order: orders } }',
    'has 2 columns, and the key of orders (id) has 1 column',
  ],
  [
    '{ via: of_id, by: of_type, to: { Order: orders, Note: notes } }',
    'leads in a circle: lines, notes, lines; end it at a resource with an account column',
  ],
  [
    '[order_id]',
    'must be the name of a column, or {via: invoice_id} with a column that refers to another resource',
  ],
])('an account path that cannot be followed is refused: %s', (account, message) => {
  const findings = findingsOf(PATHS.replace('{ via: order_id }', account));
  expect(findings[0]).toBe(`shop.yaml:12: resources.lines.account: ${message}`);
});

test('a resource that refers to several kinds of parents names each by its type', () => {
  const typed = PATHS.replace(
    '{ via: [lineId, order_id] }',
    '{ via: of_id, by: of_type, to: { Order: orders, 2: lines } }',
  );
  const [orders, lines, notes] = parseCatalog(typed, 'shop.yaml').resources;
  expect(notes?.account).toEqual({
    columns: ['of_id'],
    typeColumn: 'of_type',
    parents: [
      { type: '2', resource: lines },
      { type: 'Order', resource: orders },
    ],
  });
  expect(
    findingsOf(
      typed.replace(
        'key: [id]\n    account: { via: of',
        'key: [id]\n    hide: [of_type]\n    account: { via: of',
      ),
    ),
  ).toEqual([expect.stringMatching(/of_type can't be hidden: it is the account column/)]);
});

test('a shared resource is everybody’s, and so changed by no operation and the parent of none', () => {
  const shared = PATHS.replace('account: account_id', 'account: shared').replaceAll(/\{ via: .*\}/g, 'owner');
  expect(parseCatalog(shared, 'shop.yaml').resources[0]?.account).toEqual({ isShared: true });
  expect(findingsOf(PATHS.replace('account: account_id', 'account: shared'))).toEqual([
    "shop.yaml:12: resources.lines.account: leads to orders, which is everybody's",
  ]);
  expect(
    findingsOf(
      shared.replace('account: shared', 'account: shared\n    operations: { rename: { set: { a: b } } }'),
    ),
  ).toEqual([
    "shop.yaml:8: resources.orders.operations: change records that are everybody's: no customer may, so leave them out",
  ]);
});

test('a path names the columns of its hops as the resources on it do', () => {
  expect(findingsOf(PATHS.replace('[lineId, order_id]', '[lineId, buyer_id]'))).toEqual([
    'shop.yaml:17: resources.notes.account: says that the account of lines is found by buyer_id, and lines itself says order_id',
  ]);
  expect(findingsOf(PATHS.replace('{ via: order_id }', '{ via: order_id }\n    hide: [order_id]'))).toEqual([
    "shop.yaml:13: resources.lines.hide[0]: order_id can't be hidden: it is the account column",
  ]);
});

test('two resources can not share a table, however it is quoted', () => {
  const second = `  again:
    table: '"public"."orders"'
    event: again
    key: [id]
    account: account_id
`;
  expect(findingsOf(MINIMAL + second)).toEqual([
    'shop.yaml:9: resources.again.table: is the table of orders too',
  ]);
});

test.each([
  ['operations: { pay: {} }', 'operations.pay: must do exactly one thing'],
  ['operations: { pay: { set: { a: 1 }, soft: true } }', 'operations.pay: must do exactly one thing'],
  ['operations: { delete: { soft: true } }', 'operations.delete.soft: needs soft_delete'],
  [
    'operations: { move: { set: { account_id: x } } }',
    'operations.move.set.account_id: account_id is the key',
  ],
  [
    'operations: { move: { set_from_params: [note, id] } }',
    'operations.move.set_from_params[1]: id is the key',
  ],
  ['operations: { pay: { set: { a: 9007199254740993 } } }', 'operations.pay.set.a: is too wide'],
  ['operations: { pay: { set: {} } }', 'operations.pay.set: names no column'],
  ['operations: { pay: { http: { url: ftp://x } } }', 'operations.pay.http.url: must be a http'],
  ['operations: { "Pay!": { soft: false } }', 'operations.Pay!: must start with a letter'],
  ['sync_limit: 10001', 'sync_limit: must be at most 10000'],
  ['soft_delete: account_id\n    hide: [account_id]', "hide[0]: account_id can't be hidden"],
  ['expose: [id, id, account_id]', 'expose[1]: id is named twice'],
  ['expose: []', 'expose: must name at least one column'],
  ['expose: [account_id]', 'expose: must have id in it: it is the key column'],
  ['expose: [id]', 'expose: must have account_id in it: it is the account column'],
  ['range: made\n    expose: [id, account_id]', 'expose: must have made in it: it is the range column'],
  ['expose: [id, account_id]\n    hide: [note]', 'hide: is of no use beside expose'],
  ['where: { status: { is: draft } }', 'where.status.is: is not a condition'],
  ['where: { or: [{ status: { eq: null } }] }', 'where.or[0].status.eq: must not be null'],
  ['where: {}', 'where: holds for every row'],
  ['where: draft', 'where: must map columns to conditions'],
  ['range: 7', 'range: must be the name of a column'],
])('%s is refused', (line, finding) => {
  const findings = findingsOf(`${MINIMAL}    ${line}\n`);
  expect(findings).toEqual([expect.stringContaining(`resources.orders.${finding}`)]);
});

test('an event can not take the name of the events that tell about the feed', () => {
  expect(findingsOf(MINIMAL.replace('event: order', 'event: feed'))).toEqual([
    expect.stringContaining("Tandem's own events"),
  ]);
});

test('broken YAML and a repeated key are told with their lines', () => {
  expect(findingsOf('catalog: shop\nresources: [\n')[0]).toMatch(/^shop\.yaml:\d+: /);
  expect(findingsOf('catalog: shop\ncatalog: again\nresources: {}\n')).toEqual([
    'shop.yaml:2: Map keys must be unique',
  ]);
});

test('an empty file is a finding, not a crash', () => {
  expect(findingsOf('')).toEqual(['shop.yaml:1: must have the fields catalog and resources']);
});

test('aliases that unfold without end are refused', () => {
  const levels = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
  expect(findingsOf(`a0: &a0 [x]\n${levels.join('\n')}\n`)).toHaveLength(1);
});

test('names with dots, quotes and capitals are written as in SQL', () => {
  const catalog = parseCatalog(MINIMAL.replace('public.orders', `'My."Weird.""Orders"'`), 'shop.yaml');
  expect(catalog.resources[0]?.table).toEqual({ schema: 'My', name: 'Weird."Orders' });
});

test('a file that is not there, and one that is far too large, are told by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'catalog-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await expect(loadCatalog(join(folder, 'none.yaml'))).rejects.toThrow(/none\.yaml can't be read \(ENOENT\)/);
  await writeFile(join(folder, 'huge.yaml'), 'x'.repeat(1024 * 1024 + 1));
  await expect(loadCatalog(join(folder, 'huge.yaml'))).rejects.toThrow(SetupError);
});

const withFields = (fields: string, more = '') =>
  `${MINIMAL}    range: created_at\n${more}    fields:\n${fields}`;

test('fields are read in their order, with what they are made of', () => {
  const text = withFields(`      currency: { value: EUR }
      id: id
      status: { column: state, map: { 0: draft, 1: open }, otherwise: other }
      city: { column: data, path: [address, city], type: text }
      zip: { column: data, path: [address, zip] }
      createdAt: { column: created_at }
`);
  expect(parseCatalog(text, 'shop.yaml').resources[0]?.fields).toEqual([
    { name: 'currency', value: 'EUR' },
    { name: 'id', column: 'id' },
    { name: 'status', column: 'state', map: { 0: 'draft', 1: 'open' }, otherwise: 'other' },
    { name: 'city', column: 'data', path: ['address', 'city'], type: 'text' },
    { name: 'zip', column: 'data', path: ['address', 'zip'], type: 'json' },
    { name: 'createdAt', column: 'created_at' },
  ]);
});

test('each field that does not work says what to do', () => {
  const start = 'shop.yaml:';
  const at = (line: number, field: string, message: string) =>
    `${start}${line}: resources.orders.${field}: ${message}`;
  const text = withFields(`      id: id
      Id: other
      "no dots.": a
      and: b
      both: { column: a, value: 1 }
      none: {}
      two: { column: a, map: { 0: x }, path: [b] }
      mixed: { column: a, map: { 0: x, 1: 2 }, otherwise: y }
      open: { column: a, map: { 0: 1 } }
      wide: { value: 1.5 }
      stray: { column: a, otherwise: x }
      steps: { column: a, path: [1] }
      kind: { column: a, path: [b], type: number }
`);
  const fieldRule =
    'must be a column, or {column: state, map: {0: draft}}, or {column: data, path: [city]}, or {value: EUR}';
  expect(findingsOf(text)).toEqual([
    at(
      12,
      'fields.no dots.',
      'a field starts with a letter or _ and holds only letters, digits and _ (63 characters at most)',
    ),
    at(13, 'fields.and', 'and and or have a meaning in filters: name the field otherwise'),
    at(14, 'fields.both', fieldRule),
    at(15, 'fields.none', fieldRule),
    at(16, 'fields.two', 'has at most one of map, path and value'),
    at(
      17,
      'fields.mixed.map',
      'must have values of one type: all strings, all whole numbers, or all true or false',
    ),
    at(
      18,
      'fields.open.map',
      'needs otherwise, the value for all that it does not name: only a map to strings publishes these as they are',
    ),
    at(19, 'fields.wide.value', 'must be a string, a whole number, true or false'),
    at(20, 'fields.stray.otherwise', 'is for a field with a map'),
    at(21, 'fields.steps.path[0]', 'must be the name of a member, in quotes where it is a number'),
    at(22, 'fields.kind.type', 'must be text or json'),
  ]);
});

test('fields must have the key, range and soft_delete columns, hidden columns stay hidden, and names differ', () => {
  const findings = (fields: string, more = '') =>
    findingsOf(withFields(fields, more)).map((each) => each.slice('shop.yaml:'.length));
  const right = '      id: id\n      created: created_at\n';
  expect(findings('      id: { column: id, map: { 1: one } }\n      ID: name\n')).toEqual([
    '9: resources.orders.fields: must have id in it as it is, without map or path: it is the key column',
    '9: resources.orders.fields: must have created_at in it as it is, without map or path: it is the range column',
    '11: resources.orders.fields.ID: differs from id in its case alone, which many readers do not see',
  ]);
  expect(findings(`${right}      note: internal\n`, '    hide: [internal]\n')).toEqual([
    '13: resources.orders.fields.note: is made of internal, which is under hide',
  ]);
  expect(findings(`${right}      note: internal\n`, '    expose: [id, account_id, created_at]\n')).toEqual([
    '13: resources.orders.fields.note: is made of internal, which is not under expose',
  ]);
  expect(findings(`${right}      id: name\n`)).toEqual(['12: Map keys must be unique']);
  expect(findings(right, '    soft_delete: gone\n')).toEqual([
    '10: resources.orders.fields: must have gone in it as it is, without map or path: it is the soft_delete column',
  ]);
  const update = '    operations: { update: { set_from_params: [state] } }\n';
  expect(findings(right, update)).toEqual([
    '9: resources.orders.operations.update.set_from_params[0]: state needs a public name: add it to fields, as it is or with a map whose values all differ',
  ]);
  expect(findings(`${right}      status: { column: state, map: { 0: draft, 1: open } }\n`, update)).toEqual(
    [],
  );
});
