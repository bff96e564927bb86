import { expect, test } from 'vitest';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { readIdentities } from './table-identities.ts';
import { watchTables } from './watch-tables.ts';

const CATALOG = parseCatalog(
  `
catalog: c
resources:
  items: { table: app.items, event: item, key: [id], account: account_id }
  notes: { table: app.notes, event: note, key: [id], account: account_id }
`,
  'catalog.yaml',
);

/** One look at a source whose tables are these. */
async function look(found: Record<string, string>, known: Record<string, string>) {
  const stop = new AbortController();
  const identities = new Map(Object.entries(known));
  const announced: Record<string, string>[] = [];
  const query = async (text: unknown, values: unknown[]) => {
    if (String(text).includes('pg_logical_emit_message')) {
      announced.push(Object.fromEntries(readIdentities(String(values[1]))));
    } else {
      // Ends after this look.
      queueMicrotask(() => queueMicrotask(() => stop.abort()));
    }
    return { rows: Object.entries(found).map(([resource, identity]) => ({ resource, identity })) };
  };
  await watchTables(
    {
      db: { query } as unknown as Queryable,
      catalog: CATALOG,
      publicationName: 'p',
      known: () => identities,
      adopt: (resource, identity) => identities.set(resource, identity),
      log: silentLog,
    },
    stop.signal,
  );
  return { announced, identities: Object.fromEntries(identities) };
}

test('tables that were never seen are taken as they are', async () => {
  const { announced, identities } = await look({ items: '1/2', notes: '3/4' }, {});
  expect(announced).toEqual([]);
  expect(identities).toEqual({ items: '1/2', notes: '3/4' });
});

test('one that was made again, or is in the publication again, is announced', async () => {
  const { announced, identities } = await look(
    { items: '9/9', notes: '3/0' },
    { items: '1/2', notes: '3/4' },
  );
  expect(announced).toEqual([{ items: '9/9', notes: '3/0' }]);
  // Known only once the message has come by.
  expect(identities).toEqual({ items: '1/2', notes: '3/4' });
});

test('one that is as it was, and one that is not there at the moment, are passed over', async () => {
  expect((await look({ items: '1/2' }, { items: '1/2', notes: '3/4' })).announced).toEqual([]);
});
