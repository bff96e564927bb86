import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createCatalogStore } from '../../../services/dispatcher/mirror/store-feed.ts';
import { readNextEvents } from '../../../services/extractor/as-of/affected-keys.ts';
import { awaitChainRecorded } from '../../../services/extractor/changes-since/await-recorded.ts';
import {
  assertNoReset,
  assignKeys,
  collectKeys,
  readChunkKeys,
  readKeyPage,
} from '../../../services/extractor/changes-since/changed-keys.ts';
import {
  assertNotSetAside,
  assertSameCatalog,
} from '../../../services/extractor/changes-since/completeness.ts';
import { findBase } from '../../../services/extractor/changes-since/find-base.ts';
import { assertSameColumns } from '../../../services/extractor/export/assert-same-columns.ts';
import { catalogFingerprint } from '../../../shared/catalog/catalog-fingerprint.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { readDeletedKeys, sweepKeys } from '../../../shared/control/exports/changed-keys.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import type { CaptureStateMessage } from '../../../shared/kafka/messages.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { guardTransitions } from '../../support/guard-transitions.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

const SOURCE = { systemId: '7', timeline: 1 };
const ID_KEY = [{ name: 'id', sqlType: 'bigint', kind: 'long' }] as const;

/** The earlier snapshot has 100 open and was taken at 110; the present one has 112 open and was taken at 130. */
const BASE = {
  exportId: 'exp_1',
  snapshot: '100:110:100',
  startLsn: '0/10',
  sealedLsn: '0/50',
  tableForms: {},
};
const SNAPSHOT = '112:130:112';

const CLAIM: ClaimedExport = {
  id: 'exp_2',
  accountId: 'acct_1',
  accountSourceId: 'acme',
  resources: ['orders'],
  request: {},
  runAttempt: 1,
  runCount: 1,
  isSuspect: false,
  failedRuns: 0,
  setbackRuns: 0,
  gaveWayRuns: 0,
  rowsEstimated: null,
  snapshotKind: null,
  recordedFrom: null,
  owner: 'me',
};

let database: TestDatabase;
let db: pg.Pool;

beforeAll(async () => {
  database = await createDatabase('delta');
  db = createControlPool(database.url, silentLog, { applicationName: 'test' });
  await migrate(db);
  await guardTransitions(db);
  await db.query(`create table events_20260102 partition of events
    for values from ('2026-01-02T00:00:00Z') to ('2026-01-03T00:00:00Z')`);
  await db.query(
    `insert into accounts (id, name, source_id) values ('acct_1', 'a', 'acme'), ('acct_2', 'b', 'other')`,
  );
});

afterAll(async () => {
  await db?.end();
  await database?.drop();
});

beforeEach(async () => {
  await db.query('delete from exports');
  await db.query('delete from events');
  const snapshot = (xmin: string, xmax: string, xip: string[]) =>
    JSON.stringify({ taken_at: '2026-01-02T10:00:00Z', lsn: '0/40', xmin, xmax, xip });
  await db.query(
    `insert into exports (id, account_id, request, resources, status, phase, run_attempt, snapshot, start_lsn, sealed_lsn,
       system_id, timeline)
     values ('exp_1', 'acct_1', '{}', '{orders}', 'completed', 'done', 1, $1, '0/10', '0/50', '7', 1),
            ('exp_2', 'acct_1', '{"changes_since": "exp_1"}', '{orders}', 'running', 'extracting', 1, $2, '0/60', '0/90', '7', 1)`,
    [snapshot('100', '110', ['100']), snapshot('112', '130', ['112'])],
  );
});

async function addEvent(
  lsn: string,
  xid: number,
  key: number,
  more: { account?: string; type?: string; resource?: string; op?: string } = {},
) {
  const { account = 'acct_1', type = 'order.updated', resource = 'orders', op = null } = more;
  await db.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload, op)
     values ($1, (select count(*) from events), $2, $3, $4, $5, $6, '2026-01-02T10:00:00Z', '{}', $7)`,
    [lsn, account, xid, type, resource, JSON.stringify([String(key)]), op],
  );
}

const collect = () => collectKeys(db, CLAIM, BASE, SNAPSHOT, 'orders', ID_KEY);
const keys = () => readKeyPage(db, CLAIM, 'orders', 0, 100);

test('the changes are those that the earlier snapshot does not hold and the present one does', async () => {
  await addEvent('0/10', 90, 1); // settled before the earlier snapshot
  await addEvent('0/20', 101, 2); // in the earlier snapshot, though after its start
  await addEvent('0/30', 100, 3); // open in the earlier snapshot, and streamed before it
  await addEvent('0/60', 105, 4); // the number of a transaction before a crash, issued again after the seal
  await addEvent('0/70', 115, 20);
  await addEvent('0/71', 115, 20); // the same record again
  await addEvent('0/75', 112, 6); // still open in the present snapshot
  await addEvent('0/80', 131, 7); // begun after it
  await addEvent('0/95', 116, 8); // after its seal
  await addEvent('0/70', 115, 9, { account: 'acct_2' });
  await addEvent('0/70', 115, 10, { resource: 'lines' });
  expect(await collect()).toBe(3);
  expect(await keys()).toEqual(['["3"]', '["4"]', '["20"]']);
});

test('keys with a chunk are its rows, and the others are deleted', async () => {
  for (let key = 1; key <= 12; key += 1) await addEvent('0/70', 115, key);
  await collect();
  await assignKeys(db, CLAIM, 'orders', 0, [0, 2, 11]);
  const chunk = { exportId: 'exp_2', runAttempt: 1, resource: 'orders', chunk: 0 };
  expect(await readChunkKeys(db, chunk)).toEqual(['["1"]', '["3"]', '["12"]']);
  const deleted = readDeletedKeys(db, chunk, 'orders');
  expect(await deleted.count()).toEqual({ keyCount: 12, deletedCount: 9 });
  const found: string[] = [];
  for await (const page of deleted.pages()) found.push(...page);
  expect(found).toEqual([2, 4, 5, 6, 7, 8, 9, 10, 11].map((key) => `["${key}"]`));
});

test('a record that came and went since the earlier export is not told as deleted', async () => {
  await addEvent('0/70', 115, 1, { op: 'insert' });
  await addEvent('0/71', 116, 1, { op: 'delete' });
  await addEvent('0/72', 117, 2, { op: 'delete' });
  await addEvent('0/73', 118, 2, { op: 'insert' });
  await addEvent('0/74', 119, 2, { op: 'delete' });
  await addEvent('0/75', 120, 3, { op: 'insert' });
  expect(await collect()).toBe(3);
  await assignKeys(db, CLAIM, 'orders', 0, [2]);
  const deleted = readDeletedKeys(db, { exportId: 'exp_2', runAttempt: 1 }, 'orders');
  expect(await deleted.count()).toEqual({ keyCount: 2, deletedCount: 1 });
  const found: string[] = [];
  for await (const page of deleted.pages()) found.push(...page);
  expect(found).toEqual(['["2"]']);
});

test('the keys are gone once the export has ended', async () => {
  await addEvent('0/70', 115, 1);
  await collect();
  await sweepKeys(db);
  expect(await keys()).toHaveLength(1);
  await db.query("/* arranged */ update exports set status = 'failed' where id = 'exp_2'");
  await sweepKeys(db);
  expect(await keys()).toEqual([]);
  await sweepKeys(db);
  const { rows } = await db.query('select id from exports where has_keys');
  expect(rows).toEqual([]);
});

test('the keys of chunks are removed some at a time, so that no claim waits long for it', async () => {
  await db.query(
    `insert into export_chunks (export_id, resource, chunk, run_attempt, state, rows_planned, record_keys)
     select 'exp_2', 'orders', g, 1, 'extracted', 1, '\\x00' from generate_series(1, 250) g`,
  );
  await db.query("/* arranged */ update exports set status = 'failed', has_keys = true where id = 'exp_2'");
  const left = [];
  for (let turn = 0; turn < 4; turn += 1) {
    await sweepKeys(db);
    const { rows } = await db.query(
      `select (select count(*)::int from export_chunks where record_keys is not null) as n,
         (select has_keys from exports where id = 'exp_2')`,
    );
    left.push([rows[0].n, rows[0].has_keys]);
  }
  expect(left).toEqual([
    [150, true],
    [50, true],
    [0, true],
    [0, false],
  ]);
});

test('a reset in between fails the export, whatever transaction it is said to be of', async () => {
  await addEvent('0/20', 101, 0, { type: 'feed.reset' });
  await addEvent('0/70', 115, 0, { type: 'feed.reset', resource: 'lines' });
  await assertNoReset(db, CLAIM, BASE, SNAPSHOT);
  await addEvent('0/70', 0, 0, { type: 'feed.reset' });
  await expect(assertNoReset(db, CLAIM, BASE, SNAPSHOT)).rejects.toMatchObject({ code: 'feed_reset' });
});

test('lost changes fail the export, also where the loss is noticed behind its seal', async () => {
  await addEvent('0/9', 0, 0, { type: 'feed.reset' });
  await addEvent('0/95', 140, 0, { type: 'feed.reset' });
  await assertNoReset(db, CLAIM, BASE, SNAPSHOT);
  await addEvent('0/96', 0, 0, { type: 'feed.reset' });
  await expect(assertNoReset(db, CLAIM, BASE, SNAPSHOT)).rejects.toMatchObject({ code: 'feed_reset' });
});

test('an export of changes that capture wrote by another catalog fails, now or at any moment since the earlier one', async () => {
  const resourcesOf = (where: string) =>
    parseCatalog(
      `catalog: c\nresources:\n  orders: { table: shop.orders, event: order, key: [id], account: account_id${where} }\n`,
      'c.yaml',
    ).resources;
  const [old, present] = [resourcesOf(''), resourcesOf(', where: { internal: { eq: false } }')];
  const assertSame = (resources: typeof old) => assertSameCatalog(db, CLAIM, resources, BASE.startLsn);
  const store = createCatalogStore(db);
  const say = (passedLsn: number, resources: typeof old) =>
    store({
      passed_lsn: passedLsn,
      system_id: '7',
      catalog: resources.map((resource) => ({
        resource: resource.name,
        fingerprint: catalogFingerprint(resource),
      })),
    } as CaptureStateMessage);
  // A capture of an earlier version says nothing.
  await assertSame(present);
  await say(0x500, old);
  await assertSame(old);
  await expect(assertSame(present)).rejects.toMatchObject({ code: 'feed_mismatch' });
  // Capture was started again behind the earlier export.
  await say(0x60, present);
  await expect(assertSame(old)).rejects.toMatchObject({ code: 'feed_mismatch' });
  await expect(assertSame(present)).rejects.toMatchObject({ code: 'table_changed' });
  await db.query(`update feed_catalog set since_lsn = '0/10'`);
  await assertSame(present);
  // The resource is new in the catalog of the extractor only.
  const lines = present.map((resource) => ({ ...resource, name: 'lines' }));
  await expect(assertSame(lines)).rejects.toMatchObject({ code: 'feed_mismatch' });
  await db.query('delete from feed_catalog');
});

test('an export with other fields than capture had at its seal is refused, and not one from before capture had others', async () => {
  const formOf = (columns: string) => ({
    ...{ oid: 1, publication: null, snapshot: '1:1:', columnCount: 1, columns, versions: 'v', types: 't' },
    ...{ members: 'm', files: 'f', isIdentitySufficient: true, hasChildren: false },
  });
  const store = createCatalogStore(db);
  const say = (passedLsn: number, identity: string) =>
    store({
      ...{ passed_lsn: passedLsn, system_id: '7', catalog: [{ resource: 'orders', fingerprint: 'same' }] },
      tables: [{ resource: 'orders', identity }],
    } as CaptureStateMessage);
  const assertSame = (columns: string) => assertSameColumns(db, CLAIM, { orders: formOf(columns) });
  const isRefused = (columns: string) =>
    expect(assertSame(columns)).rejects.toMatchObject({ name: 'CatalogMismatchError', resource: 'orders' });
  await assertSame('old');
  await say(0x30, JSON.stringify(formOf('old')));
  await assertSame('old');
  await isRefused('new');
  // Somewhere between the two states, and so perhaps before the seal at 0/90.
  await say(0x80, JSON.stringify(formOf('old')));
  await say(0xa0, JSON.stringify(formOf('new')));
  await isRefused('old');
  await assertSame('new');
  await say(0xb0, JSON.stringify(formOf('newer')));
  await assertSame('old');
  await say(0xc0, 'gone');
  await assertSame('old');
  await db.query('delete from feed_catalog');
});

test('a resource that was set aside at any moment in between fails the export, also where no reset is', async () => {
  const told = (resources = ['orders']) => assertNotSetAside(db, { ...CLAIM, resources }, BASE.startLsn);
  await told();
  const aside = (since: string, until: string | null) =>
    db.query(
      `with gone as (delete from feed_set_aside)
       insert into feed_set_aside (resource, since_lsn, since_at, reason, detail, until_lsn)
       values ('orders', $1, now(), 'row_unencodable', 'd', $2)
       on conflict do nothing`,
      [since, until],
    );
  // Before the earlier export began, and behind the present one.
  await aside('0/5', '0/11');
  await told();
  await aside('0/95', null);
  await told();
  for (const [since, until] of [
    ['0/6', null],
    ['0/7', '0/12'],
    ['0/20', '0/30'],
    ['0/90', null],
  ] as const) {
    await db.query('delete from feed_set_aside');
    await aside(since, until);
    await expect(told(), since).rejects.toMatchObject({ code: 'feed_reset' });
    await told(['lines']);
  }
  await db.query('delete from feed_set_aside');
});

test('an export of changes waits until all that was published is recorded by its count, and fails where it can not be', async () => {
  const waitWhile = async (mustWait: () => Promise<boolean>) => {
    if (await mustWait()) throw new Error('waiting');
  };
  const recorded = (feedTimeoutMs = 60_000) => awaitChainRecorded(db, CLAIM, { feedTimeoutMs, waitWhile });
  const feed = (passed: string, chain: string | null, seqs: number[] | null) =>
    db.query(
      `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at, chain_id, chain_seqs)
       values ('0/1', $1, '7', 1, now(), $2, $3)
       on conflict (id) do update set passed_lsn = $1, chain_id = $2, chain_seqs = $3`,
      [passed, chain, seqs],
    );
  // The seal may begin right where the feed has passed.
  await feed('0/90', 'ab', [0, 5]);
  await expect(recorded()).rejects.toThrow('waiting');
  await feed('0/91', 'ab', [0, 5]);
  // Nothing was recorded by the count so far: the offsets say enough.
  await recorded();
  await db.query(`insert into recorded_chain values (0, '', 0), (1, '', 0), (2, '', 0)`);
  await expect(recorded()).rejects.toThrow('waiting');
  await db.query(`update recorded_chain set chain = 'ab', seq = 4 where partition = 1`);
  await expect(recorded()).rejects.toThrow('waiting');
  await expect(recorded(0)).rejects.toMatchObject({ code: 'feed_reset' });
  await db.query(`update recorded_chain set seq = 6 where partition = 1`);
  await recorded();
  await db.query(`update recorded_chain set chain = 'aa' where partition = 1`);
  await expect(recorded(0)).rejects.toMatchObject({ code: 'feed_reset' });
  await db.query('delete from recorded_chain; delete from feed_state');
});

test('the earlier export is of the account, on the same server, and its events are kept', async () => {
  expect(await findBase(db, 'exp_1', 'acct_1', SOURCE)).toEqual(BASE);
  const refusal = (id: string, account: string, source = SOURCE) => findBase(db, id, account, source);
  await expect(refusal('exp_1', 'acct_2')).rejects.toMatchObject({ code: 'invalid_request' });
  await expect(refusal('exp_2', 'acct_1')).rejects.toMatchObject({ code: 'invalid_request' });
  await expect(refusal('exp_1', 'acct_1', { ...SOURCE, timeline: 2 })).rejects.toMatchObject({
    code: 'feed_reset',
  });
  await db.query(
    `update exports set snapshot = jsonb_set(snapshot, '{taken_at}', '"2026-01-01T23:59:59Z"') where id = 'exp_1'`,
  );
  await expect(refusal('exp_1', 'acct_1')).rejects.toMatchObject({ code: 'base_too_old' });
});

test('an export of a version that did not note its server says so, and not that the server was replaced', async () => {
  await db.query("update exports set system_id = null, timeline = null where id = 'exp_1'");
  await expect(findBase(db, 'exp_1', 'acct_1', SOURCE)).rejects.toMatchObject({
    code: 'base_too_old',
    message: expect.stringContaining('earlier version'),
  });
});

test('an event says whether a value that was read later may be of a change that the wanted state lacks', async () => {
  await addEvent('0/30', 100, 1);
  await db.query(
    `insert into export_keys (export_id, run_attempt, resource, place, record_key, event_lsn, event_idx, event_at, is_known)
     select 'exp_2', 1, 'orders', 0, record_key, commit_lsn, idx, committed_at, false from events`,
  );
  const isFilledLater = async (startLsn: string, cutLsn: string | null) => {
    await db.query(`update exports set start_lsn = $1, cut_lsn = $2 where id = 'exp_2'`, [startLsn, cutLsn]);
    const events = await readNextEvents(db, CLAIM, 'orders', 0, 10);
    return events.map(({ event }) => event.isFilledLater);
  };
  expect(await isFilledLater('0/10', null)).toEqual([false]);
  await db.query(`update events set json_nulls = '{"filled": {"columns": ["note"], "lsn": "0/58"}}'`);
  expect(await isFilledLater('0/58', null)).toEqual([false]);
  expect(await isFilledLater('0/57', null)).toEqual([true]);
  expect(await isFilledLater('0/10', '0/58')).toEqual([false]);
  expect(await isFilledLater('0/60', '0/57')).toEqual([true]);
  await db.query('delete from export_keys');
});
