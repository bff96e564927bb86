import { expect, test } from 'vitest';
import type { CaptureStateMessage } from '../../../shared/kafka/messages.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { createCatalogStore } from './store-feed.ts';

const STATE: CaptureStateMessage = {
  slot: 's',
  system_id: '7',
  timeline: 1,
  last_commit_lsn: 1,
  last_index: 0,
  passed_lsn: 1,
  settled_lsn: 1,
  snapshot: '1:1:',
  unsettled: [],
  unsettled_xmin: null,
  catalog: [
    { resource: 'invoices', fingerprint: 'f1' },
    { resource: 'customers', fingerprint: 'f2' },
  ],
  tables: [{ resource: 'invoices', identity: 'i1' }],
};

test('the catalog of the feed is stored whenever any part of it differs, and not before', async () => {
  let count = 0;
  const query = async () => {
    count += 1;
  };
  const store = createCatalogStore({ query } as unknown as Queryable);
  const countAfter = async (change: Partial<CaptureStateMessage>) => {
    await store(structuredClone({ ...STATE, ...change }));
    return count;
  };
  expect(await countAfter({})).toBe(1);
  expect(await countAfter({ passed_lsn: 2 })).toBe(1);
  const tables = [{ resource: 'invoices', identity: 'i2' }];
  expect(await countAfter({ tables })).toBe(2);
  expect(await countAfter({ tables: [] })).toBe(3);
  expect(await countAfter({ tables })).toBe(4);
  const catalog = [
    { resource: 'invoices', fingerprint: 'f1' },
    { resource: 'customers', fingerprint: 'f3' },
  ];
  expect(await countAfter({ tables, catalog })).toBe(5);
  expect(await countAfter({ tables, catalog: catalog.toReversed() })).toBe(6);
  expect(await countAfter({ tables, catalog: catalog.toReversed() })).toBe(6);
});

test('what could not be stored is stored with the next state', async () => {
  let isAway = true;
  let count = 0;
  const query = async () => {
    if (isAway) throw new Error('the control store is away');
    count += 1;
  };
  const store = createCatalogStore({ query } as unknown as Queryable);
  await expect(store(STATE)).rejects.toThrow('away');
  isAway = false;
  await store(STATE);
  expect(count).toBe(1);
});

test('tables in records of their own are stored whenever any of them differs, and not while one is gone', async () => {
  const stored: unknown[][] = [];
  const query = async ({ values }: { values: unknown[] }) => void stored.push(values);
  const store = createCatalogStore({ query } as unknown as Queryable);
  const table = (resource: string, fingerprint: string) => ({ resource, identity: null, fingerprint });
  const first = { offset: 10, schemaId: 1, tables: [table('invoices', 'f1')] };
  const second = { offset: 11, schemaId: 1, tables: [table('customers', 'f1')] };
  const state = (passed: number) => ({ ...STATE, tables: [], catalog: [], passed_lsn: passed });
  const records = [first, second];
  await store(state(1), records);
  await store(state(2), records);
  expect(stored.length).toBe(1);
  expect(stored[0]?.[0]).toEqual(['invoices', 'customers']);
  await store(state(3), [first, undefined]);
  expect(stored.length).toBe(1);
  await store(state(4), [first, { offset: 20, schemaId: 1, tables: [table('customers', 'f2')] }]);
  expect(stored[1]?.[1]).toEqual(['f1', 'f2']);
  // It may have changed behind the last state whose tables are known.
  expect(stored[1]?.at(-1)).toBe('0/2');
  // A capture of an earlier version goes on.
  await store({ ...STATE, passed_lsn: 5 });
  expect(stored.length).toBe(3);
  await store({ ...STATE, passed_lsn: 6 });
  expect(stored.length).toBe(3);
});
