import { readdir, readFile } from 'node:fs/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../../../deploy/cli/command.ts';
import { migrateApplyCommand, migrateStatusCommand } from '../../../deploy/cli/commands/migrate.ts';
import {
  dropPartitionsBefore,
  ensurePartitions,
} from '../../../services/dispatcher/record/event-partitions.ts';
import {
  type Migration,
  migrate,
  prepareControlStore,
  readMigrationStatus,
} from '../../../shared/control/migrate.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

const FIRST = '000001_control_store.sql';

/** Files up to this one were applied to empty control stores, and never change. */
const LAST_WITH_LOCKS = '000007_large_endpoints.sql';

/** Roles belong to the server, so no two tests may share one. */
const ROLE = `service_${process.pid}_${Date.now()}`;
const OWNER = `owner_${process.pid}_${Date.now()}`;

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase('migrations');
  pool = createControlPool(database.url, silentLog, { applicationName: 'test' });
});
afterAll(async () => {
  await startAfresh().catch(() => undefined);
  for (const role of [ROLE, OWNER])
    await pool.query(`drop owned by ${role}; drop role ${role}`).catch(() => undefined);
  await pool.end();
  await database.drop();
});

function poolOf(role: string) {
  const url = new URL(database.url);
  [url.username, url.password] = [role, 'password-of-a-service'];
  return createControlPool(url.href, silentLog, { applicationName: 'test service' });
}

const startAfresh = () => pool.query('drop schema if exists tandem cascade');

async function tandem(...words: string[]) {
  const lines: string[] = [];
  const exitCode = await runProgram(
    {
      commands: [migrateStatusCommand, migrateApplyCommand],
      version: '0',
      createContext: () => ({
        env: { CONTROL_DATABASE_URL: database.url },
        home: '/nowhere',
        say: (line) => lines.push(line),
        data: (line) => lines.push(line),
        note: (line) => lines.push(line),
        during: (_what, step) => step(() => undefined),
        log: silentLog,
        signal: new AbortController().signal,
      }),
    },
    words,
  );
  return { exitCode, lines };
}

test('several processes that start at once migrate an empty control store once', async () => {
  await startAfresh();
  const applied = await Promise.all([migrate(pool), migrate(pool), migrate(pool)]);
  expect(applied.flat()).toContain(FIRST);
  expect(new Set(applied.flat()).size).toBe(applied.flat().length);
  expect(await readMigrationStatus(pool)).toMatchObject({ pending: [], newer: [] });
});

test('every table and view says what it is for', async () => {
  await migrate(pool);
  const { rows } = await pool.query<{ relname: string }>(
    `select relname from pg_class where relnamespace = 'tandem'::regnamespace and relkind in ('r', 'p', 'v')
       and not relispartition and obj_description(oid, 'pg_class') is null`,
  );
  expect(rows.map(({ relname }) => relname)).toEqual([]);
});

test('an applied file that was changed since stops every start, and its line ends do not matter', async () => {
  await startAfresh();
  const one: Migration = { name: '1.sql', sql: 'create table one ();\n' };
  const two: Migration = { name: '2.sql', sql: 'create table two ();\n' };
  await migrate(pool, [one]);
  await expect(migrate(pool, [{ name: '1.sql', sql: 'create table other ();\n' }, two])).rejects.toThrow(
    /install the release unchanged[\s\S]*1\.sql differs from what was applied/,
  );
  expect((await pool.query(`select to_regclass('tandem.two') as two`)).rows).toEqual([{ two: null }]);
  expect(await migrate(pool, [{ name: '1.sql', sql: 'create table one ();\r\n' }, two])).toEqual(['2.sql']);
});

test('a file that fails leaves nothing of itself, and its successors are not applied', async () => {
  await startAfresh();
  const files: Migration[] = [
    { name: '1.sql', sql: 'create table one ()' },
    { name: '2.sql', sql: 'create table two (); select 1 / 0' },
    { name: '3.sql', sql: 'create table three ()' },
  ];
  await expect(migrate(pool, files)).rejects.toThrow('applying the migration 2.sql');
  expect((await readMigrationStatus(pool, files)).pending).toEqual(['2.sql', '3.sql']);
  expect((await pool.query(`select to_regclass('tandem.two') as two`)).rows).toEqual([{ two: null }]);
});

test('a statement may take longer than those of services, and processes that wait for it start after it', async () => {
  await startAfresh();
  await using cleanup = new AsyncDisposableStack();
  const service = cleanup.adopt(
    createControlPool(database.url, silentLog, {
      applicationName: 'test service',
      statementTimeoutMs: 1_000,
    }),
    (own) => own.end(),
  );
  const files: Migration[] = [{ name: '1.sql', sql: 'create table one (); select pg_sleep(2)' }];
  const applied = await Promise.all([migrate(service, files), migrate(service, files)]);
  expect(applied.flat()).toEqual(['1.sql']);
});

test('a migration that waits for a lock lets readers pass, and is applied when the lock is free', async () => {
  await startAfresh();
  const files: Migration[] = [
    { name: '1.sql', sql: 'create table one ()' },
    { name: '2.sql', sql: 'alter table one add column two text' },
  ];
  await migrate(pool, files.slice(0, 1));
  await using cleanup = new AsyncDisposableStack();
  const holder = cleanup.adopt(await pool.connect(), (client) => client.release(true));
  await holder.query('begin; select from one');
  const migrated = migrate(pool, files);
  await expect
    .poll(
      async () =>
        (await pool.query(`select 1 from pg_locks where not granted and relation = 'one'::regclass`))
          .rowCount,
    )
    .toBe(1);
  await pool.query(`set statement_timeout = '20s'; select from one`);
  await holder.query('commit');
  expect(await migrated).toEqual(['2.sql']);
});

test('an index is built beside readers and writers, also while other processes wait for it', async () => {
  await startAfresh();
  const files: Migration[] = [
    { name: '1.sql', sql: 'create table one (two text); insert into one select generate_series(1, 10000)' },
    {
      name: '2.sql',
      sql: '-- no transaction\n-- By two.\ndrop index concurrently if exists by_two;\ncreate index concurrently by_two on one (two);\n',
    },
  ];
  const applied = await Promise.all([migrate(pool, files), migrate(pool, files), migrate(pool, files)]);
  expect(applied.flat()).toEqual(['1.sql', '2.sql']);
  expect(
    (await pool.query(`select indisvalid from pg_index where indexrelid = 'by_two'::regclass`)).rows,
  ).toEqual([{ indisvalid: true }]);
});

test('no file builds an index on a table of an earlier file while it locks the table', async () => {
  const folder = new URL('../../../shared/control/migrations/', import.meta.url);
  const earlier = new Set<string>();
  const faults: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const sql = await readFile(new URL(name, folder), 'utf8');
    if (name > LAST_WITH_LOCKS) {
      for (const [, table = ''] of sql.matchAll(
        /create (?:unique )?index (?!concurrently)(?:\w+ )?on (\w+)/g,
      ))
        if (earlier.has(table)) faults.push(`${name}: ${table}`);
    }
    for (const [, table = ''] of sql.matchAll(/create table (\w+)/g)) earlier.add(table);
  }
  expect(earlier.size).toBeGreaterThan(10);
  expect(faults).toEqual([]);
});

test('migrations of a newer release are shown, and are no error', async () => {
  await startAfresh();
  await migrate(pool);
  await pool.query(`insert into tandem.migrations (name, sha256) values ('999999_later.sql', 'x')`);
  expect(await migrate(pool)).toEqual([]);
  await prepareControlStore(pool, 'check');
  const { exitCode, lines } = await tandem('migrate', 'status');
  expect(exitCode).toBe(0);
  expect(lines).toContain('newer        999999_later.sql, applied by a newer release');
});

test('a control store from before 0.1.0 is refused with what to do', async () => {
  await startAfresh();
  await pool.query(`create schema tandem;
    create table tandem.migrations (name text primary key, applied_at timestamptz not null default now());
    insert into tandem.migrations values ('000001_core.sql')`);
  const refusals = await Promise.allSettled([
    migrate(pool),
    prepareControlStore(pool, 'check'),
    readMigrationStatus(pool),
  ]);
  for (const refusal of refusals) {
    expect(refusal).toMatchObject({
      reason: expect.any(SetupError),
    });
    expect(String((refusal as PromiseRejectedResult).reason)).toMatch(/before 0\.1\.0.*empty control store/);
  }
});

test('the commands show what is missing and apply it', async () => {
  await startAfresh();
  const before = await tandem('migrate', 'status', '--json');
  expect(before.exitCode).toBe(1);
  expect(JSON.parse(before.lines.join(''))).toMatchObject({ applied: [], newer: [] });
  const { pending } = JSON.parse(before.lines.join(''));
  expect(pending).toContain(FIRST);
  const applied = await tandem('migrate', 'apply');
  expect(applied).toMatchObject({ exitCode: 0 });
  expect(applied.lines).toContain(`applied      ${FIRST}`);
  expect((await tandem('migrate', 'apply')).lines).toEqual(['the control store is up to date']);
  const after = await tandem('migrate', 'status', '--json');
  expect(after.exitCode).toBe(0);
  expect(JSON.parse(after.lines.join(''))).toMatchObject({
    applied: pending.map((name: string) => ({ name })),
    pending: [],
  });
});

test('services whose role may not change the schema start with CONTROL_MIGRATIONS=check', async () => {
  await startAfresh();
  await pool.query(`create role ${ROLE} login password 'password-of-a-service'`);
  await using cleanup = new AsyncDisposableStack();
  const service = cleanup.adopt(poolOf(ROLE), (own) => own.end());
  await expect(prepareControlStore(service, 'check')).rejects.toThrow(
    new RegExp(`run \`tandem migrate apply\`[\\s\\S]*${FIRST}`),
  );
  await expect(prepareControlStore(service, 'apply')).rejects.toThrow(
    /lacks a privilege .*tandem migrate apply/,
  );
  await migrate(pool);
  await expect(prepareControlStore(service, 'check')).rejects.toThrow(/lacks a privilege/);

  // As in deploy/README.md, "Upgrading".
  await pool.query(`grant usage on schema tandem to ${ROLE};
    grant select, insert, update, delete on all tables in schema tandem to ${ROLE};
    grant usage on all sequences in schema tandem to ${ROLE};
    grant create on schema tandem to ${ROLE};
    alter table tandem.events owner to ${ROLE}`);
  await prepareControlStore(service, 'check');
  await ensurePartitions(service, ['2026-01-01', '2026-01-02']);
  expect(await dropPartitionsBefore(service, '2026-01-02')).toEqual(['2026-01-01']);
});

test('a role that owns the schema migrates it, and need not be allowed to create others', async () => {
  await startAfresh();
  await pool.query(
    `create role ${OWNER} login password 'password-of-a-service'; create schema tandem authorization ${OWNER}`,
  );
  await using cleanup = new AsyncDisposableStack();
  const owner = cleanup.adopt(poolOf(OWNER), (own) => own.end());
  expect(await migrate(owner)).toContain(FIRST);
  await expect(owner.query('create schema another')).rejects.toThrow(/permission denied/);
});
