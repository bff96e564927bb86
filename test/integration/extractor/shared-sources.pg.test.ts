import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { enterSnapshot } from '../../../services/extractor/chunk/enter-snapshot.ts';
import {
  createSharedSources,
  type SharedSnapshot,
} from '../../../services/extractor/export/share-sources.ts';
import { assertSameServer } from '../../../services/extractor/export/take-snapshot.ts';
import { SourceSessionLostError } from '../../../services/extractor/extraction-errors.ts';
import { shareSession } from '../../../services/extractor/source/share-session.ts';
import {
  createSourceSessions,
  type OpenSourceSession,
  type SourceSession,
} from '../../../services/extractor/source/source-session.ts';
import { formatSnapshot } from '../../../shared/domain/snapshot.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

// Sessions that are used again, and sessions and snapshots that small exports share.

const TABLE = { schema: 'shop', name: 'orders' };

let database: TestDatabase;
let admin: SourceSession;

const options = (purpose: string, lost: Error[] = []) => ({
  purpose,
  statementTimeoutMs: 30_000,
  onLost: (error: Error) => {
    lost.push(error);
  },
});

beforeAll(async () => {
  database = await createDatabase('shared_sources');
  admin = await createSourceSessions(new Secret(database.url))(options('admin'));
  await admin.query('create schema shop');
  await admin.query('create table shop.orders (id integer primary key)');
  await admin.query('insert into shop.orders select generate_series(1, 10)');
});

afterAll(async () => {
  await admin?.[Symbol.asyncDispose]();
  await database?.drop();
});

function source(): OpenSourceSession {
  const sessions = createSourceSessions(new Secret(database.url));
  onTestFinished(() => sessions[Symbol.asyncDispose]());
  return sessions;
}

const terminate = (pid: string) => admin.query('select pg_terminate_backend($1)', [pid]);

async function isOpen(pid: string): Promise<boolean> {
  return (await admin.query('select from pg_stat_activity where pid = $1', [pid])).rows.length > 0;
}

test('a session that is left clean serves the next one, under its name and limit', async () => {
  const open = source();
  const first = await open(options('first'));
  first.leaveClean();
  await first[Symbol.asyncDispose]();
  const second = await open({ ...options('second'), statementTimeoutMs: 12_345 });
  expect(second.backendPid).toBe(first.backendPid);
  const { rows } = await second.query(
    `select current_setting('application_name') as name, current_setting('statement_timeout') as "limit"`,
  );
  expect(rows).toEqual([{ name: 'tandem extractor second', limit: '12345ms' }]);
  // The first one is over, whatever its run still does with it.
  await first[Symbol.asyncDispose]();
  await expect(first.query('select 1')).rejects.toThrow(SourceSessionLostError);
  await assertSameServer(second);
  await second[Symbol.asyncDispose]();
});

test('a session that is not left clean is closed', async () => {
  const open = source();
  const first = await open(options('first'));
  first.leaveClean();
  await first.query('begin');
  await first[Symbol.asyncDispose]();
  const second = await open(options('second'));
  expect(second.backendPid).not.toBe(first.backendPid);
  await second[Symbol.asyncDispose]();
});

test('a connection that broke while nobody used it is not given to anyone', async () => {
  const open = source();
  const first = await open(options('first'));
  first.leaveClean();
  await first[Symbol.asyncDispose]();
  await terminate(first.backendPid);
  const lost: Error[] = [];
  const second = await open(options('second', lost));
  expect(second.backendPid).not.toBe(first.backendPid);
  await second.query('select 1');
  await second[Symbol.asyncDispose]();
  expect(lost).toEqual([]);
});

test('exports that ask at the same time have one snapshot, which lasts until the last of them is done', async () => {
  const shared = createSharedSources(source(), silentLog);
  // While the first is taken, the others gather.
  const taken = await Promise.all(['a', 'b', 'c'].map((name) => shared.takeSnapshot([TABLE], options(name))));
  const [first, second, third] = taken as [SharedSnapshot, SharedSnapshot, SharedSnapshot];
  expect(third.held).toEqual(second.held);
  await first.holder[Symbol.asyncDispose]();
  await admin.query('insert into shop.orders values (11)');
  await second.holder[Symbol.asyncDispose]();
  await second.holder[Symbol.asyncDispose]();
  const reader = await source()(options('reader'));
  const held = { name: third.held.name, snapshot: formatSnapshot(third.held.snapshot) };
  await enterSnapshot(reader, [TABLE], held);
  expect((await reader.query('select count(*)::text as n from shop.orders')).rows).toEqual([{ n: '10' }]);
  await reader.query('rollback');
  await third.holder[Symbol.asyncDispose]();
  await expect(enterSnapshot(reader, [TABLE], held)).rejects.toThrow('is no longer held');
  await reader[Symbol.asyncDispose]();
});

test('exports of other tables have snapshots of their own, and one that can not be taken holds up nobody', async () => {
  await admin.query('create table shop.locked (id integer primary key)');
  const blocker = await source()(options('blocker'));
  await blocker.query('begin');
  await blocker.query('lock table shop.locked in access exclusive mode');
  const shared = createSharedSources(source(), silentLog);
  const [, ofLocked, ofOrders] = await Promise.all([
    shared.takeSnapshot([TABLE], options('first')),
    shared.takeSnapshot([{ schema: 'shop', name: 'locked' }], options('locked')),
    shared.takeSnapshot([TABLE], options('orders')),
  ]);
  expect(ofLocked).toBeUndefined();
  expect(ofOrders).toBeDefined();
  await blocker[Symbol.asyncDispose]();
});

test('all who share a session hear of its end, and the next gets another', async () => {
  const shared = createSharedSources(source(), silentLog);
  const lost: Error[] = [];
  const [first, second] = [
    await shared.openSealing(options('a', lost)),
    await shared.openSealing(options('b', lost)),
  ];
  expect(second.backendPid).toBe(first.backendPid);
  await terminate(first.backendPid);
  await waitFor('both to hear of it', () => lost.length === 2);
  const third = await shared.openSealing(options('c'));
  expect(third.backendPid).not.toBe(first.backendPid);
  await third.query('select 1');
  await third[Symbol.asyncDispose]();
});

test('a session for seals stays open as long as one of its users has it', async () => {
  const shared = createSharedSources(source(), silentLog);
  const first = await shared.openSealing(options('a'));
  const second = await shared.openSealing(options('b'));
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  await assertSameServer(second);
  expect(await isOpen(second.backendPid)).toBe(true);
  await second[Symbol.asyncDispose]();
});

test('a shared session is lent to nobody once its last user is done, because its connection serves others', async () => {
  const shared = await shareSession(
    source(),
    { purpose: 'shared', statementTimeoutMs: 30_000 },
    async () => undefined,
  );
  const only = shared.lend(() => undefined);
  await only[Symbol.asyncDispose]();
  expect(() => shared.lend(() => undefined)).toThrow(SourceSessionLostError);
});
