import { expect, test } from 'vitest';
import { catalogFingerprint } from './catalog-fingerprint.ts';
import { parseCatalog } from './load-catalog.ts';

const fingerprint = (entry: string) => {
  const [resource] = parseCatalog(`catalog: c\nresources:\n  orders: { ${entry} }\n`, 'c.yaml').resources;
  if (resource === undefined) throw new Error('no resource');
  return catalogFingerprint(resource);
};
const ENTRY = 'table: shop.orders, event: order, key: [id], account: account_id';

test.each([
  ['event: order', 'event: sale', true],
  ['key: [id]', 'key: [id], range: created_at', true],
  ['key: [id]', 'key: [id], hide: [note]', false],
  ['key: [id]', 'key: [id], expose: [id, account_id]', false],
  ['key: [id]', 'key: [id, part]', false],
  ['key: [id]', 'key: [id], where: { internal: { eq: false } }', false],
  ['key: [id]', 'key: [id], soft_delete: deleted_at', false],
  ['shop.orders', 'shop.sales', false],
  ['account_id', 'team_id', false],
])('%s in place of %s leaves the fingerprint: %s', (before, after, isSame) => {
  const [one, other] = [fingerprint(ENTRY), fingerprint(ENTRY.replace(before, after))];
  expect(one === other).toBe(isSame);
});

test('another type, or another column for it, is another fingerprint', () => {
  const typed = (account: string) => {
    const entry = `notes: { table: shop.notes, event: note, key: [id], account: ${account} }`;
    const { resources } = parseCatalog(
      `catalog: c\nresources:\n  orders: { ${ENTRY} }\n  ${entry}\n`,
      'c.yaml',
    );
    return resources.flatMap((each) => (each.name === 'notes' ? [catalogFingerprint(each)] : [])).join();
  };
  const rules = [
    'of_type, to: { Order: orders }',
    'of_type, to: { Sale: orders }',
    'of, to: { Order: orders }',
  ];
  expect(new Set(rules.map((rule) => typed(`{ via: of_id, by: ${rule} }`))).size).toBe(3);
});

test('another value of where is another fingerprint, the order of hidden columns is none', () => {
  const where = (value: string) => fingerprint(`${ENTRY}, where: { state: { eq: ${value} } }`);
  expect(where('open')).not.toBe(where('done'));
  expect(fingerprint(`${ENTRY}, hide: [a, b]`)).toBe(fingerprint(`${ENTRY}, hide: [b, a]`));
});

test('with fields, a column that is renamed in the catalog too leaves the fingerprint, and another shape does not', () => {
  const entry = (key: string, columns: string, fields: string) =>
    fingerprint(
      `table: shop.orders, event: order, key: [${key}], account: account_id, soft_delete: ${columns}, ` +
        `where: { ${columns}: { is_null: true } }, fields: { id: ${key}, removed: ${columns}, ${fields} }`,
    );
  const one = entry('id', 'deleted_at', 'status: { column: state, map: { 0: draft } }');
  expect(entry('order_id', 'removed_at', 'status: { column: status_code, map: { 0: draft } }')).toBe(one);
  for (const other of [
    'status: { column: state, map: { 0: open } }',
    'status: state',
    'state: state',
    'status: { value: draft }',
  ]) {
    expect(entry('id', 'deleted_at', other)).not.toBe(one);
  }
  const hidden = ENTRY.replace('key: [id]', 'key: [id], fields: { id: id }');
  expect(fingerprint(`${hidden}, hide: [note]`)).toBe(fingerprint(hidden));
});
