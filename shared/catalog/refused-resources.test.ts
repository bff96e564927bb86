import { expect, test } from 'vitest';
import type { Finding } from './finding.ts';
import { parseCatalog } from './load-catalog.ts';
import { sortFindings, withoutRefused } from './refused-resources.ts';

const CATALOG = parseCatalog(
  `catalog: shop
resources:
  orders: { table: shop.orders, event: order, key: [id], account: account_id }
  lines: { table: shop.lines, event: line, key: [id], account: { via: order_id } }
  parts: { table: shop.parts, event: part, key: [id], account: { via: line_id } }
  notes: { table: shop.notes, event: note, key: [id], account: account_id }
`,
  'shop.yaml',
);
const found = (resource: string | undefined, code: Finding['code'], sql?: string): Finding => ({
  resource,
  code,
  message: `${code}.`,
  ...(sql === undefined ? {} : { sql }),
});

test('a resource that no preparation mends is refused with those below it, and what others need is kept apart', () => {
  const sorted = sortFindings(CATALOG, [
    found(undefined, 'wal_level'),
    found('orders', 'replica_identity', 'ALTER TABLE'),
    found('orders', 'no_key', 'CREATE INDEX'),
    found('notes', 'publication', 'ALTER PUBLICATION'),
    found('orders', 'row_security'),
  ]);
  expect(sorted.ofSource.map(({ code }) => code)).toEqual(['wal_level']);
  expect(sorted.preparable.map(({ resource }) => resource)).toEqual(['notes']);
  const ofParent = (name: string) =>
    [
      name,
      { code: 'account_path', text: `${name}: its account is that of orders, which is refused.` },
    ] as const;
  expect([...sorted.refused]).toEqual([
    ['orders', { code: 'no_key', text: 'orders: no_key. Run: CREATE INDEX; orders: row_security.' }],
    ofParent('lines'),
    ofParent('parts'),
  ]);
  expect(withoutRefused(CATALOG, sorted.refused).resources.map(({ name }) => name)).toEqual(['notes']);
});

test('a replica identity that nobody can mend refuses its resource', () => {
  expect([...sortFindings(CATALOG, [found('notes', 'replica_identity')]).refused.keys()]).toEqual(['notes']);
});
