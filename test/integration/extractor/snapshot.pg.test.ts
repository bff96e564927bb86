import { afterAll, beforeAll, expect, test } from 'vitest';
import { assertNotRewritten, enterSnapshot } from '../../../services/extractor/chunk/enter-snapshot.ts';
import { createReadRows, type ReadRows } from '../../../services/extractor/chunk/read-rows.ts';
import { takeSnapshot } from '../../../services/extractor/export/take-snapshot.ts';
import {
  SnapshotGoneError,
  SourceSessionLostError,
  TableWantedError,
} from '../../../services/extractor/extraction-errors.ts';
import { type ChunkPlan, planChunks } from '../../../services/extractor/plan/plan-chunks.ts';
import type { RowSelection } from '../../../services/extractor/plan/row-selection.ts';
import { keysQuery, rowsQuery, type SqlQuery } from '../../../services/extractor/plan/row-selection.ts';
import {
  createSourceSessions,
  isSqlState,
  type SourceSession,
} from '../../../services/extractor/source/source-session.ts';
import { formatSnapshot } from '../../../shared/domain/snapshot.ts';
import { createLockWatch } from '../../../shared/postgres/lock-watch.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const READERS = ['tuned', 'plain'] as const;

const NEVER = new AbortController().signal;

const TABLE = { schema: 'shop', name: 'orders' };
const UNLIMITED = new AbortController().signal;

let database: TestDatabase;
const sessions: SourceSession[] = [];

async function openSession(): Promise<SourceSession> {
  const open = createSourceSessions(new Secret(database.url));
  const session = await open({ purpose: 'test', statementTimeoutMs: 30_000, onLost: () => undefined });
  sessions.push(session);
  return session;
}

beforeAll(async () => {
  database = await createDatabase('extractor_snapshot');
  const session = await openSession();
  await session.query('create schema shop');
  await session.query('create table shop.orders (id integer primary key, account_id text)');
  await session.query("insert into shop.orders select g, 'acme' from generate_series(1, 10) g");
});

afterAll(async () => {
  for (const session of sessions) await session[Symbol.asyncDispose]();
  await database?.drop();
});

test('a table can not be truncated or rewritten while its snapshot is held', async () => {
  const [holder, other] = [await openSession(), await openSession()];
  await takeSnapshot(holder, [TABLE], UNLIMITED);
  await other.query("set lock_timeout = '10ms'");
  for (const statement of ['truncate shop.orders', 'alter table shop.orders alter id type bigint']) {
    const error = await other.query(statement).catch((thrown: unknown) => thrown);
    expect(isSqlState(error, '55P03')).toBe(true);
  }
  await holder.query('rollback');
});

test('a reader that meets a waiting ALTER TABLE gives way at once, and one in the snapshot is ended', async () => {
  await using watch = createLockWatch({
    databaseUrl: new Secret(database.url),
    applicationName: 'test lock watch',
    log: silentLog,
  });
  const lost: Error[] = [];
  const open = createSourceSessions(new Secret(database.url), { lockWatch: watch });
  await using holder = await open({
    purpose: 'holder',
    statementTimeoutMs: 30_000,
    onLost: (error) => lost.push(error),
  });
  const held = await takeSnapshot(holder, [TABLE], UNLIMITED);
  const [reader, migration, observer] = [await openSession(), await openSession(), await openSession()];
  await migration.query("set lock_timeout = '15s'");
  const altered = migration.query("alter table shop.orders alter account_id set default 'acme'");
  await waitFor('the ALTER to wait', async () => {
    const { rows } = await observer.query(
      "select from pg_locks where not granted and mode = 'AccessExclusiveLock' and relation = 'shop.orders'::regclass",
    );
    return rows.length > 0 || lost.length > 0;
  });
  const chunk = { name: held.name, snapshot: formatSnapshot(held.snapshot) };
  const outcome = await enterSnapshot(reader, [TABLE], chunk).catch((error: unknown) => error);
  // Who was quicker: the reader gives up its place behind the ALTER, or the holder was ended before.
  expect([TableWantedError, SnapshotGoneError].some((kind) => outcome instanceof kind)).toBe(true);
  await reader.query('rollback');
  await altered;
  expect(lost).toEqual([expect.any(TableWantedError)]);
  await expect(holder.query('select 1')).rejects.toThrow(TableWantedError);
});

test('a reader is under exactly the holder’s snapshot, and not once the holder has let go', async () => {
  const [holder, reader, writer] = [await openSession(), await openSession(), await openSession()];
  const held = await takeSnapshot(holder, [TABLE], UNLIMITED);
  await writer.query("insert into shop.orders values (11, 'acme')");
  const chunk = { name: held.name, snapshot: formatSnapshot(held.snapshot) };
  await enterSnapshot(reader, [TABLE], chunk);
  const { rows } = await reader.query('select count(*)::text as count from shop.orders');
  expect(rows).toEqual([{ count: '10' }]);
  await reader.query('rollback');
  await expect(enterSnapshot(reader, [TABLE], { ...chunk, snapshot: '1:1:' })).rejects.toMatchObject({
    code: 'snapshot_mismatch',
  });
  await reader.query('rollback');
  await holder.query('commit');
  await expect(enterSnapshot(reader, [TABLE], chunk)).rejects.toThrow(SnapshotGoneError);
  await reader.query('rollback');
});

test('a table that was truncated after the snapshot is told, not read as empty', async () => {
  const [holder, reader, writer] = [await openSession(), await openSession(), await openSession()];
  await writer.query('create table shop.cut (id integer primary key)');
  await writer.query('insert into shop.cut values (1)');
  await holder.query('begin isolation level repeatable read');
  const { rows } = await holder.query(
    'select pg_export_snapshot() as name, pg_current_snapshot()::text as snapshot',
  );
  await writer.query('truncate shop.cut');
  const cut = { schema: 'shop', name: 'cut' };
  await enterSnapshot(reader, [cut], {
    name: rows[0]?.name ?? '',
    snapshot: rows[0]?.snapshot ?? '',
  });
  await expect(assertNotRewritten(reader, [cut])).rejects.toMatchObject({ code: 'table_changed' });
  await assertNotRewritten(reader, [TABLE]);
  await reader.query('rollback');
  await holder.query('rollback');
});

/** What each reader gets of a query on the same session. */
async function readInTurn(readers: readonly ReadRows[], session: SourceSession, query: SqlQuery) {
  const all: (string | null)[][][] = [];
  for (const readRows of readers) {
    const rows: (string | null)[][] = [];
    const { done } = readRows(session.client, query, (row) => rows.push([...row.texts()]), NEVER);
    expect(await done).toBe(rows.length);
    all.push(rows);
  }
  return all;
}

const KEYS: Record<string, { columns: string; rows: string }> = {
  uuid: { columns: 'k uuid', rows: 'select md5(g::text)::uuid from generate_series(1, $N) g' },
  'text with a collation': {
    columns: 'k text collate "en-x-icu"',
    rows: `select (array['a','B','ä','Z',' x','''q','é'])[1 + g % 7] || g from generate_series(1, $N) g`,
  },
  'a skewed composite': {
    columns: 'k text, k2 timestamptz',
    rows: `select case when g % 50 = 0 then 'rare' || g else 'common' end,
             timestamptz '2026-01-01Z' + g * interval '1 microsecond' from generate_series(1, $N) g`,
  },
  'a wide numeric': {
    columns: 'k numeric',
    rows: 'select (g - 60) * 1e20 + 0.10 from generate_series(1, $N) g',
  },
};

test.for(Object.entries(KEYS))('chunks of %s hold every row once, in key order', async ([, shape]) => {
  const bothReaders = READERS.map(createReadRows);
  const session = await openSession();
  const key = shape.columns.split(', ').map((column) => column.split(' ')[0] ?? '');
  for (const rowCount of [0, 1, 9, 10, 11, 123]) {
    await session.query('begin');
    await session.query(`create table shop.keys (${shape.columns}, primary key (${key.join(', ')}))`);
    await session.query(`insert into shop.keys ${shape.rows.replace('$N', String(rowCount))}`);
    const selection: RowSelection = {
      resource: {
        name: 'keys',
        table: { schema: 'shop', name: 'keys' },
        event: 'key',
        key,
        account: 'account_id',
        range: undefined,
        softDelete: undefined,
        hide: [],
        related: [],
        operations: {},
        syncLimit: 100,
      },
      request: {
        resources: ['keys'],
        include_deleted: true,
        include_related: false,
        date_range: null,
        changes_since: null,
        as_of: null,
        max_rows_per_second: null,
      },
      accountSourceId: null,
      references: [],
    };
    const plans: ChunkPlan[] = [];
    for await (const plan of planChunks(session, selection, 10)) plans.push(plan);
    expect(plans.map(({ chunk }) => chunk)).toEqual(plans.map((_, index) => index));
    const read: (string | null)[][] = [];
    for (const plan of plans) {
      const pieces = await readInTurn(bothReaders, session, rowsQuery(selection, key, plan));
      expect(pieces[1]).toEqual(pieces[0]);
      expect(pieces[0]).toHaveLength(plan.rows);
      read.push(...(pieces[0] ?? []));
    }
    const { rows } = await session.query(keysQuery(selection).text);
    expect(read).toEqual(rows.map((row) => key.map((column) => row[column])));
    expect(read).toHaveLength(rowCount);
    await session.query('rollback');
  }
});

test.each(READERS)(
  'a paused reading goes on where it was, and a row that can not be taken ends it (%s)',
  async (reader) => {
    const readRows = createReadRows(reader);
    const session = await openSession();
    await session.query('begin');
    const query = { text: 'select g, repeat($1, 100) from generate_series(1, 20000) g', values: ['x'] };
    let seen = 0;
    const onRow = () => {
      seen += 1;
      if (seen % 5_000 === 0) {
        reading.pause();
        setImmediate(reading.resume);
      }
    };
    const reading = readRows(session.client, query, onRow, NEVER);
    expect(await reading.done).toBe(20_000);
    const refuse = () => {
      throw new Error('not this one');
    };
    await expect(readRows(session.client, query, refuse, NEVER).done).rejects.toThrow('not this one');
  },
);

test.each(READERS)(
  'the server ends the sessions of a process that froze, in the middle of a read and between two statements (%s)',
  async (kind) => {
    const readRows = createReadRows(kind);
    const open = createSourceSessions(new Secret(database.url), { silenceLimitMs: 2_000 });
    const options = { purpose: 'frozen', statementTimeoutMs: 600_000, onLost: () => undefined };
    const [reader, idle, watcher] = [await open(options), await open(options), await openSession()];
    sessions.push(reader, idle);
    for (const session of [reader, idle]) await session.query('begin isolation level repeatable read');
    // To the server a process that takes nothing off its connection is one that was stopped.
    const query = { text: `select repeat('x', 1000) from generate_series(1, 2000000)`, values: [] };
    const reading = readRows(reader.client, query, () => reading.pause(), NEVER);
    const over = reading.done.catch(() => undefined);
    await waitFor('the sessions to be gone', async () => {
      const { rows } = await watcher.query('select from pg_stat_activity where pid in ($1, $2)', [
        reader.backendPid,
        idle.backendPid,
      ]);
      return rows.length === 0;
    });
    await reader[Symbol.asyncDispose]();
    await over;
  },
);

test.each(READERS)(
  'a reading ends when its connection is gone, and for the reason it was given when it stands still (%s)',
  async (reader) => {
    const readRows = createReadRows(reader);
    const query = { text: 'select g from generate_series(1, 200000) g', values: [] };
    const gone = await openSession();
    await gone.query('begin');
    const cutOff = readRows(gone.client, query, () => cutOff.pause(), NEVER);
    await gone[Symbol.asyncDispose]();
    await expect(cutOff.done).rejects.toThrow(SourceSessionLostError);
    const over = new AbortController();
    const still = await openSession();
    await still.query('begin');
    const standing = readRows(still.client, query, () => standing.pause(), over.signal);
    over.abort(new Error('the lease is lost'));
    await expect(standing.done).rejects.toThrow('the lease is lost');
  },
);
