import { expect, test } from 'vitest';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { TableFacts } from '../../../shared/catalog/table-facts.ts';
import { toTableForm } from '../../../shared/catalog/table-form.ts';
import { findResource, type Resource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { tableFacts as table } from '../../../test/support/table-facts.ts';
import { type AnnouncedReset, identityBehind, isAnnounced, readResets } from './reset-message.ts';
import { createTableWatch } from './watch-tables.ts';

const CATALOG = parseCatalog(
  `
catalog: c
resources:
  items: { table: app.items, event: item, key: [id], account: account_id }
  notes: { table: app.notes, event: note, key: [id], account: account_id }
`,
  'catalog.yaml',
);

const formOf = (name: string, facts: TableFacts) =>
  JSON.stringify(toTableForm(findResource(CATALOG, name) as Resource, facts));

/** A source whose tables can be exchanged, and a feed that was told of some. */
function setUp(tables: Record<string, TableFacts>, known: Record<string, string> = {}) {
  const identities = new Map(Object.entries(known));
  const announced: AnnouncedReset[][] = [];
  const clock = { nowMs: 0 };
  /** Statements that contain it fail. */
  const away = { text: undefined as string | undefined };
  const query = async (text: unknown, values: unknown[]) => {
    if (away.text !== undefined && JSON.stringify(text).includes(away.text)) throw new Error('away');
    if (!String(text).includes('pg_logical_emit_message'))
      return { rows: [{ facts: JSON.stringify(tables) }] };
    announced.push(readResets(String(values[1])));
    return { rows: [] };
  };
  const watch = createTableWatch({
    db: { query } as unknown as Queryable,
    catalog: CATALOG,
    publicationName: 'p',
    known: () => identities,
    adopt: (resource, identity) => identities.set(resource, identity),
    now: () => clock.nowMs,
    log: silentLog,
  });
  return { watch, identities, announced, tables, clock, away };
}

test('tables that were never seen are taken as they are, and those of an earlier version too', async () => {
  const { watch, identities, announced } = setUp(
    { items: table(), notes: table({ oid: 8 }) },
    { notes: '8/3' },
  );
  await watch.check();
  expect(announced).toEqual([]);
  expect(identities.get('items')).toBe(formOf('items', table()));
  expect(identities.get('notes')).toBe(formOf('notes', table({ oid: 8 })));
});

test('a reset is announced once, with what the feed spoke of, and is known only once it has come by', async () => {
  const former = formOf('items', table());
  const { watch, identities, announced } = setUp({ items: table({ oid: 9 }) }, { items: former });
  await watch.check();
  await watch.check();
  const reset = { resource: 'items', identity: formOf('items', table({ oid: 9 })), former };
  expect(announced).toEqual([[{ ...reset, reason: 'table_replaced', isLossOnly: false }]]);
  expect(identities.get('items')).toBe(former);
  identities.set('items', reset.identity);
  await watch.check();
  expect(announced).toHaveLength(1);
});

test('a table that is gone is told, and that it is back', async () => {
  const { watch, announced, tables } = setUp({ items: table() }, { items: formOf('items', table()) });
  delete tables.items;
  await watch.check();
  tables.items = table();
  await watch.check();
  expect(announced.flat().map(({ identity, reason }) => [identity === 'gone', reason])).toEqual([
    [true, 'table_replaced'],
    [false, 'table_replaced'],
  ]);
});

test('what a session announced before it ended is not told again by the announcement of the next', () => {
  const [former, identity] = [formOf('items', table()), formOf('items', table({ oid: 9 }))];
  const again = formOf('items', table({ oid: 9, snapshot: '200:200:' }));
  const reset = { resource: 'items', identity: again, former, reason: 'table_replaced', isLossOnly: false };
  expect(isAnnounced(reset, former)).toBe(false);
  expect(isAnnounced(reset, identity)).toBe(true);
  // Told for another reason than the table's form, which stays.
  expect(isAnnounced({ ...reset, former: identity }, identity)).toBe(false);
});

test('a reset without a change of the form leaves a form that was adopted while it was on its way', async () => {
  const told = table({ kind: 'p', files: [] });
  const former = formOf('items', told);
  const link = { xid: 100, isCreation: true };
  const leaf = { ...table({ oid: 50 }).files[0], file: 50, links: [link] } as TableFacts['files'][number];
  const { watch, announced, tables, identities } = setUp(
    { items: { ...told, snapshot: '101:101:', files: [leaf] } },
    { items: former },
  );
  await watch.check();
  const prepared = {
    resource: 'items',
    identity: former,
    former,
    reason: 'record_unknown',
    isLossOnly: false,
  };
  identities.set('items', identityBehind(prepared, identities.get('items')));
  tables.items = { ...told, snapshot: '102:102:' };
  await watch.check();
  expect(announced.flat()).toMatchObject([{ reason: 'partition_changed' }]);
});

test('a message of the session before, with the same form, ends the wait for that of this session', async () => {
  const former = formOf('items', table());
  const { watch, announced, identities } = setUp(
    { items: table({ oid: 9, snapshot: '101:101:' }) },
    { items: former },
  );
  await watch.check();
  const [own] = announced.flat() as [AnnouncedReset];
  const earlier = { ...own, identity: formOf('items', table({ oid: 9 })) };
  for (const reset of [earlier, own]) identities.set('items', identityBehind(reset, identities.get('items')));
  watch.recordColumns({ ...streamed(['id', 'owner']), oid: 9 });
  await watch.settle();
  expect(announced.flat()).toMatchObject([{ reason: 'table_replaced' }, { reason: 'columns_changed' }]);
});

test('a partition that was filled and dropped between two looks is told, once the source shows it gone', async () => {
  const told = table({ kind: 'p', files: [] });
  const { watch, announced, tables, identities } = setUp({ items: told }, { items: formOf('items', told) });
  watch.recordLeaf({ resource: 'items', oid: 50, xid: 100n });
  await watch.check();
  expect(announced).toEqual([]);
  tables.items = { ...told, snapshot: '101:101:' };
  await watch.check();
  expect(announced.flat()).toMatchObject([
    { resource: 'items', reason: 'partition_changed', isLossOnly: true },
  ]);
  identities.set('items', announced[0]?.[0]?.identity ?? '');
  await watch.check();
  expect(announced).toHaveLength(1);
});

test('a partition that is there is taken along, and told by its form when it goes', async () => {
  const link = { xid: 100, isCreation: true };
  const leaf = { ...table({ oid: 50 }).files[0], file: 50, links: [link] } as TableFacts['files'][number];
  const told = table({ kind: 'p', files: [] });
  const filled = { ...told, snapshot: '101:101:', files: [leaf] };
  const { watch, announced, tables, identities } = setUp({ items: filled }, { items: formOf('items', told) });
  watch.recordLeaf({ resource: 'items', oid: 50, xid: 100n });
  await watch.check();
  expect(announced).toEqual([]);
  expect(identities.get('items')).toBe(formOf('items', filled));
  // Its rows come again after a restart: the form has it by then.
  tables.items = { ...told, snapshot: '102:102:' };
  watch.recordLeaf({ resource: 'items', oid: 50, xid: 100n });
  await watch.check();
  identities.set('items', announced[0]?.[0]?.identity ?? '');
  await watch.check();
  expect(announced.flat()).toMatchObject([{ reason: 'partition_changed' }]);
});

test('a partition that was emptied between two looks is told', async () => {
  const link = { xid: 100, isCreation: true };
  const leaf = { ...table({ oid: 50 }).files[0], file: 51, links: [link] } as TableFacts['files'][number];
  const told = table({ kind: 'p', files: [] });
  const filled = { ...told, snapshot: '101:101:', files: [leaf] };
  const { watch, announced } = setUp({ items: filled }, { items: formOf('items', told) });
  watch.recordLeaf({ resource: 'items', oid: 50, xid: 100n });
  await watch.check();
  expect(announced.flat()).toMatchObject([{ reason: 'partition_changed' }]);
});

const streamed = (names: readonly string[], xid = 100n) => ({ resource: 'items', oid: 7, names, xid });

test('a column that was renamed and renamed back, or came and went, before anyone looked is told once', async () => {
  for (const names of [
    ['id', 'owner'],
    ['id', 'account_id', 'gone_again'],
  ]) {
    const { watch, announced, tables } = setUp({ items: table() }, { items: formOf('items', table()) });
    await watch.check();
    watch.recordColumns(streamed(names));
    watch.recordColumns(streamed(['id', 'account_id']));
    // The stream is ahead of what queries see.
    await watch.settle();
    expect(announced).toEqual([]);
    tables.items = table({ snapshot: '101:101:' });
    await watch.settle();
    await watch.check();
    expect(announced.flat()).toMatchObject([{ reason: 'columns_changed', isLossOnly: false }]);
  }
});

test('columns that are older than the table, or that a reset covers, are told by nothing else', async () => {
  const wide = table({ snapshot: '101:101:', columnCount: 3 });
  const third = { ...wide.columns[1], place: 3, name: 'note' } as (typeof wide.columns)[number];
  const tables: Record<string, TableFacts> = { items: { ...wide, columns: [...wide.columns, third] } };
  const { watch, announced, identities } = setUp(tables, { items: formOf('items', table()) });
  await watch.check();
  watch.recordColumns(streamed(['id', 'account_id']));
  await watch.settle();
  expect(announced).toEqual([]);

  // Renamed for good: the table's form says so, and the reset follows the rows.
  const renamed = table().columns.map((column) => ({
    ...column,
    name: column.name.replace('account_id', 'owner'),
  }));
  tables.items = table({ snapshot: '103:103:', columns: renamed });
  watch.recordColumns(streamed(['id', 'other'], 102n));
  await watch.check();
  watch.recordColumns(streamed(['id', 'another'], 102n));
  await watch.check();
  expect(announced.flat()).toMatchObject([{ reason: 'columns_changed' }]);
  identities.set('items', announced[0]?.[0]?.identity ?? '');
  watch.recordColumns(streamed(['id', 'another'], 102n));
  watch.forgetColumns('items');
  await watch.check();
  expect(announced).toHaveLength(1);
});

test('updates that may have moved rows without a word are told once an interval', async () => {
  const { watch, announced, identities, clock } = setUp(
    { items: table({ snapshot: '101:101:' }) },
    { items: formOf('items', table()) },
  );
  await watch.check();
  for (const nowMs of [0, 60_000, 299_999, 300_000, 300_001]) {
    clock.nowMs = nowMs;
    watch.recordUnsentMove('items', 100n);
    await watch.settle();
    identities.set('items', announced.at(-1)?.[0]?.identity ?? '');
  }
  expect(announced.flat().map(({ reason }) => reason)).toEqual(['record_unknown', 'record_unknown']);
});

test('rows must not be published while it is unknown whether they need a reset, which is told later', async () => {
  const { watch, announced, tables, away } = setUp({ items: table() }, { items: formOf('items', table()) });
  await watch.check();
  watch.recordColumns(streamed(['id', 'owner']));
  tables.items = table({ snapshot: '101:101:' });
  for (const text of ['pg_class', 'pg_logical_emit_message']) {
    away.text = text;
    await expect(watch.settle()).rejects.toThrow('away');
  }
  expect(announced).toEqual([]);
  away.text = undefined;
  await watch.settle();
  expect(announced.flat()).toMatchObject([{ reason: 'columns_changed' }]);
});

test('a row that may have moved without a word is not forgotten when its reset can not be sent', async () => {
  const items = table({ snapshot: '101:101:' });
  const { watch, announced, away } = setUp({ items }, { items: formOf('items', table()) });
  await watch.check();
  watch.recordUnsentMove('items', 100n);
  away.text = 'pg_logical_emit_message';
  await expect(watch.check()).rejects.toThrow('away');
  away.text = undefined;
  await watch.settle();
  expect(announced.flat()).toMatchObject([{ reason: 'record_unknown' }]);
});
