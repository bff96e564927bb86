import { expect, test } from 'vitest';
import type { PublicationDescription } from './describe-source.ts';
import { planPublication } from './publication-plan.ts';

const TABLES = [
  { schema: 'shop', name: 'orders' },
  { schema: 'shop', name: 'Lines' },
];
const OPTIONS = "(publish = 'insert, update, delete, truncate', publish_via_partition_root = true)";

function publication(overrides: Partial<PublicationDescription> = {}): PublicationDescription {
  return {
    isForAllTables: false,
    operations: ['insert', 'update', 'delete', 'truncate'],
    isViaRoot: true,
    publishesGenerated: false,
    schemas: [],
    tables: TABLES.map((table) => ({ ...table, isPartial: false })),
    ...overrides,
  };
}

test('a publication that is not there is created for exactly the tables', () => {
  expect(planPublication('feed', undefined, TABLES)).toEqual([
    `CREATE PUBLICATION "feed" FOR TABLE "shop"."orders", "shop"."Lines" WITH ${OPTIONS}`,
  ]);
});

test('one that is right needs nothing', () => {
  expect(planPublication('feed', publication(), TABLES)).toEqual([]);
});

const setTables = ['ALTER PUBLICATION "feed" SET TABLE "shop"."orders", "shop"."Lines"'];

test.each([
  ['lacks a table', publication({ tables: publication().tables.slice(1) })],
  [
    'has one too many',
    publication({ tables: [...publication().tables, { schema: 'a', name: 'b', isPartial: false }] }),
  ],
  [
    'filters rows or columns',
    publication({ tables: TABLES.map((table) => ({ ...table, isPartial: true })) }),
  ],
  ['holds a whole schema', publication({ schemas: ['shop'] })],
])('one that %s gets its tables set', (_, current) => {
  expect(planPublication('feed', current, TABLES)).toEqual(setTables);
});

test.each([
  ['leaves truncate out', publication({ operations: ['insert', 'update', 'delete'] })],
  ['names partitions', publication({ isViaRoot: false })],
])('one that %s gets its options set', (_, current) => {
  expect(planPublication('feed', current, TABLES)).toEqual([`ALTER PUBLICATION "feed" SET ${OPTIONS}`]);
});
