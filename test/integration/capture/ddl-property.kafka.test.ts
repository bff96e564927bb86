import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { waitFor } from '../../support/wait-for.ts';

/**
 * DDL at random among rows at random: after each round a replica that was kept by events alone is the source, or a reset of the
 * resource was told behind the last statement that changed its rows without an event. `DDL_RUNS` asks for more rounds.
 */

const SCHEMA = `
  create schema app;
  create type app.mood as enum ('sad', 'ok');
  create type app.spot as (x int, y int);
  create table app.items (id bigint primary key, account_id text not null, n int, mood app.mood, spot app.spot);
  create table app.parts (id bigint, account_id text not null, region int, n int, primary key (id, region))
    partition by list (region);
  create table app.parts_0 partition of app.parts for values in (0);
  create table app.marks (id bigint primary key, account_id text not null);
`;

const CATALOG = `
catalog: ddl
resources:
  items: { table: app.items, event: item, key: [id], account: account_id }
  parts: { table: app.parts, event: part, key: [id, region], account: account_id }
  marks: { table: app.marks, event: mark, key: [id], account: account_id }
`;

const RUNS = Number(process.env.DDL_RUNS ?? 3);
const SEED = 2026;
const STEPS = 12;
const PARTITION = accountPartition('acme', 12);
const KEYS: Readonly<Record<string, readonly string[]>> = { items: ['id'], parts: ['id', 'region'] };

const small = fc.integer({ min: 0, max: 5 });
const region = fc.integer({ min: 1, max: 3 });
const sql = (...texts: string[]) => fc.constantFrom(...texts);

/** Of rows, each told by an event. */
const writes = fc.oneof(
  fc
    .tuple(small, small)
    .map(
      ([id, n]) => `insert into app.items values (${id}, 'acme', ${n}) on conflict (id) do update set n = 9`,
    ),
  fc
    .tuple(small, small)
    .map(([id, at]) => `insert into app.parts values (${id}, 'acme', ${at}) on conflict do nothing`),
  small.map((id) => `update app.items set account_id = 'acme', spot = null where id = ${id}`),
  fc.tuple(small, region).map(([id, at]) => `update app.parts set region = ${at} where id = ${id}`),
  small.map((id) => `delete from app.parts where id = ${id}`),
  small.map((id) => `delete from app.items where id = ${id}`),
);

/** Those of the list in services/hand-off.md that need no preparation afterwards. One that is not possible just then does nothing. */
const ddl = fc.oneof(
  region.map((at) => `create table app.parts_${at} partition of app.parts for values in (${at})`),
  region.map(
    (at) =>
      `create table app.parts_${at} partition of app.parts for values in (${at}); insert into app.parts values (7, 'acme', ${at})`,
  ),
  region.map((at) => `drop table app.parts_${at}`),
  region.map((at) => `truncate app.parts_${at}`),
  region.map((at) => `alter table app.parts detach partition app.parts_${at}`),
  region.map((at) => `alter table app.parts attach partition app.parts_${at} for values in (${at})`),
  sql('truncate app.parts', 'truncate app.items', 'vacuum full app.items', 'vacuum full app.parts'),
  sql(
    'alter table app.items alter n type text using n::text || 1',
    'alter table app.items alter n type int using length(n::text)',
    'alter table app.items rename n to m',
    'alter table app.items rename m to n',
    'alter table app.items add extra text',
    `alter table app.items add extra text default 'e'`,
    'alter table app.items drop extra',
  ),
  sql(
    `alter type app.mood rename value 'ok' to 'fine'`,
    `alter type app.mood rename value 'fine' to 'ok'`,
    'alter type app.spot drop attribute y',
    'alter type app.spot add attribute y int',
    'alter type app.spot rename attribute x to z',
  ),
);

const steps = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: writes.map((text) => ({ text, isDdl: false })) },
    { weight: 1, arbitrary: ddl.map((text) => ({ text, isDdl: true })) },
  ),
  { minLength: STEPS, maxLength: STEPS },
);

let world: CaptureWorld;
let markCount = 0;

beforeAll(async () => {
  world = await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG });
  await world.start();
});
afterAll(() => world?.[Symbol.asyncDispose]());

type Rows = Map<string, string>;

/** Without nulls: a column that is absent from an event is null. */
function toRow(resource: string, values: Readonly<Record<string, unknown>>): [string, string] {
  const shown = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  const key = (KEYS[resource] ?? []).map((name) => String(values[name])).join('/');
  return [key, JSON.stringify(shown.map(([name, value]) => [name, String(value)]).toSorted())];
}

async function rowsOf(resource: string): Promise<Rows> {
  const types = { getTypeParser: () => (text: string) => text };
  const { rows } = await world.pool.query({ text: `select * from app.${resource}`, types: types as never });
  return new Map(rows.map((row) => toRow(resource, row)));
}

const show = (rows: Rows) => JSON.stringify([...rows].toSorted());

async function lsn(): Promise<bigint> {
  const { rows } = await world.pool.query(`select (pg_current_wal_lsn() - '0/0')::text as at`);
  return BigInt(rows[0].at);
}

/** What has been told on the account's partition by now, behind the last mark. */
async function toldSince(place: number) {
  markCount += 1;
  await world.pool.query(`insert into app.marks values ($1, 'acme')`, [markCount]);
  const own = () => world.reader.changes.slice(place).filter(({ partition }) => partition === PARTITION);
  await waitFor('the mark', () =>
    own().some(({ resource, after }) => resource === 'marks' && after?.id === String(markCount)),
  );
  return own;
}

test(`DDL at random is told, or changes nothing (seed ${SEED})`, async () => {
  const base = new Map<string, Rows>([
    ['items', new Map()],
    ['parts', new Map()],
  ]);
  for (const round of fc.sample(steps, { numRuns: RUNS, seed: SEED })) {
    const place = world.reader.changes.length;
    const faults = new Map<string, bigint>();
    const done: string[] = [];
    for (const { text, isDdl } of round) {
      const before = new Map<string, string>();
      const at = isDdl ? await lsn() : 0n;
      if (isDdl) for (const name of base.keys()) before.set(name, show(await rowsOf(name)));
      const isDone = await world.pool.query(text).then(
        () => true,
        () => false,
      );
      if (isDone) done.push(text);
      if (!isDdl || !isDone || text.includes('insert')) continue;
      for (const [name, rows] of before) if (show(await rowsOf(name)) !== rows) faults.set(name, at);
    }
    const told = await toldSince(place);
    for (const [name, rows] of base) {
      const now = await rowsOf(name);
      const fault = faults.get(name) ?? 0n;
      const replica = () => {
        const state = new Map(rows);
        for (const { resource, op, before, after } of told()) {
          if (resource !== name || op === 'truncate') continue;
          if (before !== null && op === 'delete') state.delete(toRow(name, before)[0]);
          if (after !== null) state.set(...toRow(name, after));
        }
        return state;
      };
      const isReset = () =>
        told().some(
          ({ resource, op, commitLsn }) => resource === name && op === 'truncate' && commitLsn > fault,
        );
      await waitFor(`${name} after ${done.join('; ')}`, () => isReset() || show(replica()) === show(now));
      base.set(name, now);
    }
    // States are read from another topic than changes.
    await waitFor(
      'nothing to be set aside',
      () => (world.reader.states.at(-1)?.set_aside ?? []).length === 0,
    );
  }
});
