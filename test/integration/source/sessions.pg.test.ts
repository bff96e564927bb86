import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openWalStream } from '../../../services/capture/replication/stream.ts';
import { createSourceSessions } from '../../../services/extractor/source/source-session.ts';
import { createSourcePool } from '../../../shared/bulk/source-pool.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { ConnectionLostError, Session } from '../../../shared/postgres/session.ts';
import { TEXT_SESSION_OPTIONS } from '../../../shared/postgres/text-session.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { classifyTransient } from '../../../shared/runtime/transient.ts';
import { createDatabase, type TestDatabase, topicPrefix } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

let database: TestDatabase;
let admin: pg.Client;
let url: string;
let major: number;
const role = topicPrefix();

/** What a role for web requests, for reading or of another country has, and what would end our sessions or change their values. */
const HOSTILE: Readonly<Record<string, string>> = {
  statement_timeout: '1s',
  lock_timeout: '2ms',
  idle_in_transaction_session_timeout: '1s',
  idle_session_timeout: '1s',
  default_transaction_read_only: 'on',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  standard_conforming_strings: 'off',
  array_nulls: 'off',
  DateStyle: 'German',
  IntervalStyle: 'sql_standard',
  TimeZone: 'Asia/Tokyo',
  bytea_output: 'escape',
  extra_float_digits: '0',
  row_security: 'on',
};

beforeAll(async () => {
  database = await createDatabase('sessions');
  admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  const { rows } = await admin.query<{ server_version_num: string }>('show server_version_num');
  major = Math.floor(Number(rows[0]?.server_version_num) / 10_000);
  await admin.query(`create role ${role} login superuser password 'hostile-password'`);
  const settings = { ...HOSTILE, ...(major >= 17 ? { transaction_timeout: '1s' } : {}) };
  for (const [name, value] of Object.entries(settings))
    await admin.query(`alter role ${role} set ${name} = '${value}'`);
  const as = new URL(database.url);
  as.username = role;
  as.password = 'hostile-password';
  url = as.href;
});

afterAll(async () => {
  await admin.query(`drop role ${role}`);
  await admin.end();
  await database.drop();
});

const readSettings = async (query: (text: string) => Promise<{ rows: unknown[] }>) => {
  const { rows } = await query(
    `select name, setting from pg_settings where name in ('transaction_timeout',
       ${Object.keys(HOSTILE)
         .map((name) => `'${name}'`)
         .join(', ')})`,
  );
  return new Map((rows as { name: string; setting: string }[]).map(({ name, setting }) => [name, setting]));
};

/** Of every session: nothing of the role's that ends it or refuses its writes. */
function expectOwnLimits(settings: Map<string, string>): void {
  if (major >= 17) expect(settings.get('transaction_timeout')).toBe('0');
  expect(settings.get('idle_session_timeout')).toBe('0');
  expect(settings.get('lock_timeout')).not.toBe('2');
  expect(settings.get('statement_timeout')).not.toBe('1000');
  expect(settings.get('idle_in_transaction_session_timeout')).not.toBe('1000');
  expect(settings.get('default_transaction_isolation')).toBe('read committed');
  expect(settings.get('default_transaction_read_only')).toBe('off');
  expect(settings.get('standard_conforming_strings')).toBe('on');
  expect(settings.get('array_nulls')).toBe('on');
}

test('no limit of a role reaches a session of ours, and every value has one text', async () => {
  const text = new Session({ connectionString: url, options: TEXT_SESSION_OPTIONS });
  await text.connect();
  const settings = await readSettings((sql) => text.query(sql));
  expectOwnLimits(settings);
  expect(settings.get('DateStyle')).toBe('ISO, MDY');
  expect(settings.get('TimeZone')).toBe('UTC');
  expect(settings.get('bytea_output')).toBe('hex');
  expect(settings.get('row_security')).toBe('off');
  await text.end();

  const bulk = createSourcePool(new Secret(url), silentLog, { applicationName: 'test', max: 1 });
  expectOwnLimits(await readSettings((sql) => bulk.query(sql)));
  await bulk.end();
  const control = createControlPool(url, silentLog, { applicationName: 'test' });
  expectOwnLimits(await readSettings((sql) => control.query(sql)));
  await control.end();
  await using session = await createSourceSessions(new Secret(url))({
    purpose: 'test',
    statementTimeoutMs: 5_000,
    onLost: () => undefined,
  });
  expectOwnLimits(await readSettings(async (sql) => ({ rows: [...(await session.query(sql)).rows] })));
});

test("a connection that is cut in its holder's hands fails the next statement and nothing else", async () => {
  const pool = createControlPool(url, silentLog, { applicationName: 'test', max: 1 });
  const client = await pool.connect();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const ended = new Promise<void>((resolve) => client.once('end', () => resolve()));
  // An error event that nobody hears would end the process, and fail this run.
  await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
  await ended;
  const failed = await client.query('select 1').catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(ConnectionLostError);
  expect(classifyTransient(failed)).toBe('connection');
  client.release();
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await pool.end();
});

test('the WAL stream of such a role goes on too', async () => {
  const slot = `${role}_slot`;
  await admin.query('create publication feed');
  await admin.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
  const replication = new Session({
    connectionString: url,
    options: TEXT_SESSION_OPTIONS,
    replication: 'database',
  } as pg.ClientConfig);
  await replication.connect();
  const shown = async (name: string) =>
    Object.values((await replication.query(`show ${name}`)).rows[0] as object)[0];
  if (major >= 17) expect(await shown('transaction_timeout')).toBe('0');
  expect(await shown('idle_session_timeout')).toBe('0');
  await replication.end();
  const stream = await openWalStream(
    { sourceUrl: new Secret(url), slotName: slot, publicationName: 'feed', maxQueuedBytes: 1_000_000 },
    () => undefined,
  );
  await stream.close();
  await waitFor('the slot to be let go', async () => {
    const { rows } = await admin.query<{ active: boolean }>(
      'select active from pg_replication_slots where slot_name = $1',
      [slot],
    );
    return rows[0]?.active === false;
  });
  await admin.query('select pg_drop_replication_slot($1)', [slot]);
});

test('a URL can not take our settings away, and its own options stand beside them', async () => {
  const own = new URL(url);
  own.searchParams.set('options', '-c work_mem=5MB -c statement_timeout=7');
  own.searchParams.set('statement_timeout', '7');
  const session = new Session({ connectionString: own.href, options: TEXT_SESSION_OPTIONS });
  await session.connect();
  const { rows } = await session.query(
    `select current_setting('work_mem') as mem, current_setting('statement_timeout') as limit`,
  );
  expect(rows).toEqual([{ mem: '5MB', limit: '0' }]);
  await session.end();
});
