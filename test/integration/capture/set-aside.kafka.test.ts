import kafkajs from 'kafkajs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { rawKafka } from '../../support/raw-kafka.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.coded (id bigint primary key, code text not null unique, account_id text not null, private text, body text);
  alter table app.coded replica identity full;
  create table app.notes (id bigint primary key, account_id text not null, body text);
  alter table app.notes replica identity full;
`;

const CATALOG = `
catalog: aside
resources:
  coded: { table: app.coded, event: coded, key: [code], account: account_id, hide: [private] }
  notes: { table: app.notes, event: note, key: [id], account: account_id }
`;

const NO_GRACE = { TABLE_MISFIT_GRACE_SECONDS: '0' };

const cleanup = new AsyncDisposableStack();
let world: CaptureWorld;
let ascii: CaptureWorld;
let western: CaptureWorld;
let nextNote = 1;

beforeAll(async () => {
  world = cleanup.use(await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG }));
  const inEncoding = (encoding: string) =>
    createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG, encoding });
  ascii = cleanup.use(await inEncoding('SQL_ASCII'));
  western = cleanup.use(await inEncoding('WIN1252'));
});
afterAll(() => cleanup.disposeAsync());
afterEach(async () => {
  await world?.endAll();
  await ascii?.endAll();
  await western?.endAll();
});

/** The other resource goes on: its row comes, and everything before it has come by then. */
async function othersGoOn(of: CaptureWorld): Promise<void> {
  const id = String(nextNote++);
  await of.pool.query(`insert into app.notes values ($1, 'acme', 'goes on')`, [id]);
  await waitFor('a row of the other resource', () =>
    of.reader.changes.some(({ resource, after }) => resource === 'notes' && after?.id === id),
  );
}

async function limitMessages(topic: string, bytes: string): Promise<void> {
  const admin = rawKafka(testStack().kafkaBrokers).admin();
  await admin.connect();
  const configEntries = [{ name: 'max.message.bytes', value: bytes }];
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic };
  await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] });
  // A broker goes by new settings a moment after it has taken them.
  await waitFor('the limit', async () => {
    const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false });
    const entries = resources.flatMap((each) => each.configEntries);
    return entries.some(
      ({ configName, configValue }) => configName === 'max.message.bytes' && configValue === bytes,
    );
  });
  await admin.disconnect();
}

const PARTITION = accountPartition('acme', 12);

/**
 * What was told of the resource, in the order of its account's partition; resets are on the others too. That columns have changed
 * is told besides, at whatever moment it is noticed.
 */
const toldOf = ({ reader }: CaptureWorld, from = 0) =>
  reader.changes
    .filter(({ resource, partition }) => resource === 'coded' && partition === PARTITION)
    .filter(({ resetReason }) => resetReason !== 'columns_changed')
    .slice(from)
    .map(({ op, after, before, resetReason }) => resetReason ?? `${op} ${after?.code ?? before?.code}`);

/** States are read from another topic than changes, and so a moment sooner or later. */
const untilSetAside = (of: CaptureWorld, count: number) =>
  waitFor(`${count} set aside`, () => {
    const found = of.reader.states.at(-1)?.set_aside ?? [];
    return found.length === count && { found };
  }).then(({ found }) => found);

const told = (of: CaptureWorld, from: number, what: readonly string[]) =>
  waitFor(
    `${what.join(', ')} after ${toldOf(of, from).join(', ')}`,
    () => toldOf(of, from).length >= what.length,
  ).then(() => expect(toldOf(of, from)).toEqual(what));

test('a row without its key sets its resource aside, also after a restart, until the table is mended', async () => {
  await world.start();
  await world.pool.query(`insert into app.coded values (1, 'a', 'acme')`);
  await told(world, 0, ['insert a']);
  await world.pool.query(`alter table app.coded alter code drop not null`);
  await world.pool.query(
    `begin; insert into app.coded values (2, 'b', 'acme'); insert into app.coded values (3, null, 'acme');
     insert into app.coded values (4, 'c', 'acme'); insert into app.notes values (1000, 'acme'); commit`,
  );
  await othersGoOn(world);
  await told(world, 1, ['insert b', 'row_unencodable']);
  const [aside] = await untilSetAside(world, 1);
  expect(aside).toMatchObject({ resource: 'coded', reason: 'row_unencodable', row_key: null });
  expect(aside?.detail).toMatch(/column "code".*never null/);
  const places = world.reader.changes.filter(({ after }) => after?.id === '1000').map(({ index }) => index);
  expect(places).toEqual([3]);

  await world.endAll();
  await world.start();
  await world.pool.query(`insert into app.coded values (5, 'd', 'acme')`);
  await othersGoOn(world);
  expect(toldOf(world, 3)).toEqual([]);

  await world.pool.query(
    `delete from app.coded where code is null; alter table app.coded alter code set not null`,
  );
  await told(world, 3, ['resource_resumed']);
  await world.pool.query(`insert into app.coded values (6, 'e', 'acme')`);
  await told(world, 4, ['insert e']);
  await untilSetAside(world, 0);
});

test('a row that is larger than the topic takes holds up no other resource, and an export is reminded of', async () => {
  await limitMessages(`${world.prefix}.changes`, '1000000');
  await world.start();
  const from = toldOf(world).length;
  await world.pool.query(
    `insert into app.coded select 10, 'big', 'acme', '', string_agg(md5(n::text), '') from generate_series(1, 60000) n`,
  );
  await othersGoOn(world);
  await told(world, from, ['row_unencodable']);
  expect(await untilSetAside(world, 1)).toMatchObject([
    { row_key: ['big'], detail: expect.stringMatching(/has \d+ bytes.*max\.message\.bytes.*\["big"\]/) },
  ]);
  await world.pool.query(
    `select pg_logical_emit_message(true, 'tandem.seal', '{"job_id": "exp_1", "token": "t"}')`,
  );
  await told(world, from + 1, ['row_unencodable']);
  await world.pool.query(`update app.coded set body = 'small' where code = 'big'`);
  await told(world, from + 2, ['resource_resumed']);
});

test('a hidden column that is renamed sets its resource aside, and leaves neither by value nor by name', async () => {
  await world.start(NO_GRACE);
  const from = toldOf(world).length;
  await world.pool.query(`insert into app.coded values (20, 'k', 'acme', 'kept back')`);
  await told(world, from, ['insert k']);
  await world.pool.query(`alter table app.coded rename column private to inner_life`);
  await world.pool.query(`insert into app.coded values (21, 'l', 'acme', 'kept back')`);
  await othersGoOn(world);
  await told(world, from + 1, ['table_unfit']);
  // A new process finds the column there already.
  await world.endAll();
  await world.start(NO_GRACE);
  await world.pool.query(`insert into app.coded values (22, 'm', 'acme', 'kept back')`);
  await othersGoOn(world);
  await world.pool.query(`alter table app.coded rename column inner_life to private`);
  await told(world, from + 2, ['resource_resumed']);
  await world.pool.query(`insert into app.coded values (23, 'n', 'acme', 'kept back')`);
  await told(world, from + 3, ['insert n']);
  const rows = world.reader.changes.map(({ before, after }) => ({ before, after }));
  expect(JSON.stringify(rows)).not.toMatch(/kept back|inner_life/);
});

test('a table that loses its account column, or goes, holds up no other resource', async () => {
  await world.start(NO_GRACE);
  const from = toldOf(world).length;
  await world.pool.query(`alter table app.coded rename column account_id to tenant`);
  await world.pool.query(`insert into app.coded values (30, 'p', 'acme')`);
  await othersGoOn(world);
  await told(world, from, ['table_unfit']);
  await world.pool.query(`alter table app.coded rename column tenant to account_id`);
  await told(world, from + 1, ['resource_resumed']);
});

test('bytes that are not UTF-8 in a SQL_ASCII database set aside only what they would leave in', () =>
  staysOutOf(ascii, String.raw`E'caf\xe9'`, 'UTF-8'));

test('bytes that stand for nothing in a single-byte encoding set aside only what they would leave in', () =>
  staysOutOf(western, String.raw`convert_from('\x81', 'WIN1252')`, 'WIN1252'));

async function staysOutOf(of: CaptureWorld, value: string, encoding: string): Promise<void> {
  await of.start();
  await of.pool.query(`insert into app.coded values (1, 'a', 'acme', ${value}, 'Grüße für 5 €')`);
  await told(of, 0, ['insert a']);
  expect(of.reader.changes.find(({ after }) => after?.code === 'a')?.after?.body).toBe('Grüße für 5 €');
  await of.pool.query(`insert into app.coded values (2, 'b', 'acme', null, ${value})`);
  await othersGoOn(of);
  await told(of, 1, ['row_unencodable']);
  const [aside] = await untilSetAside(of, 1);
  expect(aside?.detail).toMatch(new RegExp(`column body .* not ${encoding}.*\\["b"\\]`));
  await of.pool.query(`update app.coded set body = 'café' where code = 'b'`);
  await told(of, 2, ['resource_resumed']);
}
