import { expect, onTestFinished, test } from 'vitest';
import { applyItems } from '../../../shared/bulk/apply-items.ts';
import { loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { LEDGER_DDL, readResults } from '../../../shared/bulk/ledger.ts';
import { findOperation } from '../../../shared/bulk/operation.ts';
import { createSourcePool } from '../../../shared/bulk/source-pool.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createDatabase } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const CATALOG = `
catalog: app
resources:
  notes:
    table: app.notes
    event: note
    key: [id]
    account: account_id
    operations:
      close: {set: {state: closed}, skip_when: {state: closed}}
`;

/** Whoever makes a key of 1 waits for the advisory lock 7: after the snapshot of its statement, and before any row's lock. */
const TABLES = `
create schema app;
create function app.pass(id bigint) returns boolean language plpgsql as $$ begin
  if id = 1 then perform pg_advisory_xact_lock_shared(7); end if;
  return true;
end $$;
create domain app.note_id as bigint check (app.pass(value));
create table app.notes (id app.note_id primary key, account_id text not null, state text not null, body text);
insert into app.notes select g, 'acme', 'open', 'first' from generate_series(1, 4) g;`;

/** @param sql what others commit once the statement has its snapshot and has locked no row yet */
async function applyWhile(sql: string, { tables = TABLES, ids = [1, 2, 3, 4] } = {}) {
  const database = await createDatabase('bulk_meanwhile');
  onTestFinished(() => database.drop());
  const source = createSourcePool(new Secret(database.url), silentLog, { applicationName: 'test', max: 4 });
  onTestFinished(() => source.end());
  for (const ddl of [...LEDGER_DDL, tables]) await source.query(ddl);
  const [resource] = parseCatalog(CATALOG, 'catalog.yaml').resources;
  const operation = resource && findOperation(resource, 'close');
  if (resource === undefined || operation === undefined) throw new Error('the catalog has no operation');
  const table = await loadBulkTable(source, resource);
  const items = ids.map((id) => ({ seq: id, itemId: `${id}`, key: [`${id}`], line: null }));
  const application = {
    jobId: 'blk_1',
    table,
    operation,
    params: {},
    liveFilter: undefined,
    sourceId: 'acme',
  };
  const other = await source.connect();
  await other.query('begin; select pg_advisory_xact_lock(7)');
  const applied = applyItems(application, items, {
    source,
    signal: new AbortController().signal,
    isStillOurs: () => true,
    isAnnounced: true,
    whenHeld: 'leave',
  });
  await waitFor('the statement to wait', async () => {
    const { rowCount } = await source.query(
      `select from pg_locks where locktype = 'advisory' and not granted and database = (
         select oid from pg_database where datname = current_database())`,
    );
    return rowCount === 1;
  });
  await other.query(`${sql}; commit`);
  other.release();
  expect(await applied).toEqual(new Set());
  const { rows } = await source.query('select id::text, state, body from app.notes order by id');
  const results = await readResults(source, 'blk_1', { status: undefined, afterSeq: -1, limit: 10 });
  return { rows, results: results.map(({ itemId, status, code }) => [itemId, status, code]) };
}

test('a row that another transaction changes just before it is locked is changed once, on top of that change', async () => {
  const { rows, results } = await applyWhile(`update app.notes set body = 'second' where id = 2`);
  expect(results).toEqual(['1', '2', '3', '4'].map((id) => [id, 'succeeded', null]));
  expect(rows.map(({ state, body }) => [state, body])).toEqual([
    ['closed', 'first'],
    ['closed', 'second'],
    ['closed', 'first'],
    ['closed', 'first'],
  ]);
});

test('items with a result of another worker keep it, and the others of the statement get theirs', async () => {
  const { rows, results } = await applyWhile(
    `insert into tandem.bulk_ledger (job_id, seq, item_id, status, code) values ('blk_1', 3, '3', 'failed', 'conflict')`,
  );
  expect(results).toEqual([
    ['1', 'succeeded', null],
    ['2', 'succeeded', null],
    ['3', 'failed', 'conflict'],
    ['4', 'succeeded', null],
  ]);
  expect(rows.map(({ state }) => state)).toEqual(['closed', 'closed', 'open', 'closed']);
});

test('no row is changed that has the place of another partition’s row', async () => {
  const partitioned = TABLES.replace(
    'body text);',
    `body text) partition by range (id);
     create table app.notes_1 partition of app.notes for values from (0) to (3);
     create table app.notes_2 partition of app.notes for values from (3) to (10);`,
  );
  const { rows } = await applyWhile('select 1', { tables: partitioned, ids: [1, 2] });
  expect(rows.map(({ state }) => state)).toEqual(['closed', 'closed', 'open', 'open']);
});
