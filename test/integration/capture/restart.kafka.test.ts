import type { PoolClient } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { openChangeReader, type ReadChange } from '../../support/change-reader.ts';
import { rawKafka } from '../../support/raw-kafka.ts';
import { openSilentProxy } from '../../support/silent-proxy.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.counters (id int primary key, account_id text not null, n int not null, pad text);
  create table app.walkers (id int primary key, account_id text not null, n int not null);
  create table app.other (id bigint generated always as identity, x text);
  insert into app.counters select n, 'acc_' || n % 5, 0, repeat('p', 200) from generate_series(1, 40) n;
`;

const CATALOG = `
catalog: restarts
resources:
  counters:
    table: app.counters
    event: counter
    key: [id]
    account: account_id
  walkers:
    table: app.walkers
    event: walker
    key: [id]
    account: account_id
`;

const KILL_COUNT = 4;
const CHANGES_PER_LIFE = 300;
const WRITERS = 2;

let world: CaptureWorld;

beforeAll(async () => {
  world = await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG });
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(() => world.endAll());

const updates = (): ReadChange[] =>
  world.reader.changes.filter(({ op, resource }) => op === 'update' && resource === 'counters');

/** What a walker does one after the other, again and again; `n` counts its steps. */
const WALK = [
  `insert into app.walkers values ($1, 'acc_' || $1::int % 5, $2)`,
  'update app.walkers set n = $2 where id = $1',
  'update app.walkers set n = $2 where id = $1',
  'update app.walkers set n = $2 where id = $1',
  'delete from app.walkers where id = $1 and n = $2 - 1',
] as const;

const WALKERS = 100;
const WALKERS_EACH_TIME = 4;

/** Steps that each walker has taken, in committed transactions. */
const steps = new Map<number, number>();

async function stepOn(client: PoolClient, id: number): Promise<void> {
  const step = (steps.get(id) ?? 0) + 1;
  const { rowCount } = await client.query(WALK[(step - 1) % WALK.length] ?? '', [id, step]);
  if (rowCount !== 1) throw new Error(`walker ${id} is not where its step ${step} begins`);
  steps.set(id, step);
}

/** Counters go up by one with each update, and some of the writer's own walkers step on, in each transaction until told to stop. */
async function writeUntil(
  writer: number,
  isOver: () => boolean,
  untilResumed: () => Promise<void> | undefined,
): Promise<void> {
  let turn = 0;
  while (!isOver()) {
    await untilResumed();
    const client = await world.pool.connect();
    try {
      await client.query('begin');
      // One row at a time and in their order, so that two writers wait for each other but never deadlock.
      for (let id = 1; id <= 40; id += 1 + Math.trunc(Math.random() * 10)) {
        await client.query('update app.counters set n = n + 1 where id = $1', [id]);
      }
      for (let walker = 0; walker < WALKERS_EACH_TIME; walker += 1) {
        await stepOn(client, ((turn++ * WRITERS) % WALKERS) + writer);
      }
      await client.query('commit');
    } finally {
      client.release();
    }
  }
}

/** Each row's values as the feed tells them, which have to be 1, 2, 3, … without a gap, a repeat or a step back. */
function illegalSteps(): string[] {
  const last = new Map<string, number>();
  const offences: string[] = [];
  for (const { after } of updates()) {
    const id = after?.id ?? '';
    const n = Number(after?.n);
    const expected = (last.get(id) ?? 0) + 1;
    if (n !== expected) offences.push(`row ${id}: ${n} in place of ${expected}`);
    last.set(id, n);
  }
  return offences;
}

type Place = 'absent' | 'present';
const NEXT: Record<Place, Record<string, Place | undefined>> = {
  absent: { insert: 'present' },
  present: { update: 'present', delete: 'absent' },
};

/** Each walker's changes as the feed tells them: every one legal after the one before, with no step left out or repeated. */
function illegalWalks(): string[] {
  const places = new Map<string, { place: Place; step: number }>();
  const offences: string[] = [];
  for (const { op, resource, before, after } of world.reader.changes) {
    if (resource !== 'walkers') continue;
    const id = after?.id ?? before?.id ?? '';
    const { place, step } = places.get(id) ?? { place: 'absent', step: 0 };
    const next = NEXT[place][op];
    // A delete tells the row as it was before its step.
    const told = op === 'delete' ? Number(before?.n) + 1 : Number(after?.n);
    if (next === undefined || told !== step + 1) offences.push(`walker ${id}: ${op} ${told} after ${step}`);
    places.set(id, { place: next ?? place, step: told });
  }
  for (const [id, step] of steps) {
    const told = places.get(String(id))?.step;
    if (told !== step) offences.push(`walker ${id}: ended at ${told} in place of ${step}`);
  }
  return offences;
}

async function isFeedComplete(): Promise<boolean> {
  const { rows } = await world.pool.query<{ sum: string }>('select sum(n)::text from app.counters');
  return updates().length >= Number(rows[0]?.sum);
}

async function confirmedLsn(): Promise<bigint> {
  const { rows } = await world.pool.query<{ lsn: string }>(
    'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1',
    [world.prefix],
  );
  return parseLsn(rows[0]?.lsn ?? '0/0');
}

test('killed at any moment, it leaves no gap and no repeat for a committed reader', async () => {
  let isOver = false;
  let pause: PromiseWithResolvers<void> | undefined;
  const write = (writer: number) =>
    writeUntil(
      writer,
      () => isOver,
      () => pause?.promise,
    );
  const { hostname, port } = new URL(world.url);
  await using proxy = await openSilentProxy(hostname, Number(port));
  const url = new URL(world.url);
  url.port = String(proxy.port);
  const writing = Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  let unconfirmedCount = 0;
  let confirmed = await confirmedLsn();
  try {
    for (let life = 0; life < KILL_COUNT; life += 1) {
      const { log, kill } = world.spawn([], { DATABASE_URL: url.href });
      // The reader may still be at what the life before has published.
      const started = await waitFor('this life to begin', () =>
        log.find(({ event }) => event === 'feed.started'),
      );
      const wanted = updates().length + CHANGES_PER_LIFE;
      await waitFor('changes of this life', () => updates().length >= wanted);
      if (life >= KILL_COUNT / 2) {
        // What is in Kafka some time before the slot is told is here never told: a life ends in between.
        pause = Promise.withResolvers();
        await waitFor('a quiet feed', isFeedComplete);
        proxy.holdBack();
        await world.pool.query('update app.counters set n = n + 1 where id = 1');
        await waitFor('the single change', isFeedComplete);
      }
      await kill();
      proxy.cut();
      pause?.resolve();
      pause = undefined;
      // Where this life began is what the one before had committed to Kafka. The slot is told of a commit by
      // its end, so a commit whose start the slot has not reached was not confirmed.
      if (parseLsn(String(started.lastCommitLsn)) >= confirmed) unconfirmedCount += 1;
      confirmed = await confirmedLsn();
    }
  } finally {
    isOver = true;
    pause?.resolve();
    await writing;
  }
  await world.start();
  await waitFor('the rest', isFeedComplete);
  await waitFor('the last steps', () => illegalWalks().length === 0).catch(() => undefined);
  expect(illegalSteps()).toEqual([]);
  expect(illegalWalks()).toEqual([]);
  expect(steps.size).toBe(WALKERS);
  const positions = world.reader.changes.map(({ commitLsn, index }) => `${commitLsn}/${index}`);
  expect(new Set(positions).size).toBe(positions.length);
  // Else no life ended between Kafka's commit and the slot's confirmation, and the test would have shown nothing.
  expect(unconfirmedCount).toBeGreaterThan(0);
});

test('a connection that is cut is opened again, and goes on where it was', async () => {
  await world.start();
  await world.pool.query('update app.counters set n = n + 1');
  await world.pool.query(
    'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1',
    [world.prefix],
  );
  await world.pool.query('update app.counters set n = n + 1');
  await waitFor('both updates', isFeedComplete);
  expect(illegalSteps()).toEqual([]);
});

test('a connection that goes silent without an end is noticed, and opened again', async () => {
  const { hostname, port, pathname } = new URL(world.url);
  await world.pool.query(`alter database "${pathname.slice(1)}" set wal_sender_timeout = '1s'`);
  await using proxy = await openSilentProxy(hostname, Number(port));
  const url = new URL(world.url);
  url.port = String(proxy.port);
  const { child, log, hasLogged, kill } = world.spawn([], { DATABASE_URL: url.href });
  await waitFor('it to stream', () => hasLogged('feed.started'));
  proxy.silence();
  await world.pool.query('update app.counters set n = n + 1');
  await waitFor('the feed to go on', isFeedComplete);
  expect(log.filter(({ event }) => event === 'feed.started').length).toBeGreaterThan(1);
  expect(child.exitCode).toBeNull();
  await kill();
  await world.pool.query(`alter database "${pathname.slice(1)}" reset wal_sender_timeout`);
});

test('a second instance stands by, and takes over within seconds when the first is killed', async () => {
  const first = world.spawn();
  await waitFor('the first to stream', () => first.hasLogged('feed.started'));
  const second = world.spawn();
  await waitFor('the second to stand by', () => second.hasLogged('slot.held'));
  await waitFor('the second to be ready', () => second.hasLogged('service.ready'));
  await world.pool.query('update app.counters set n = n + 1');
  await waitFor('the first to publish', isFeedComplete);
  await first.kill();
  await world.pool.query('update app.counters set n = n + 1');
  // Long before the server would notice by itself that nobody is there any more, after its wal_sender_timeout of 60 s.
  await waitFor('the second to publish', isFeedComplete, 45_000);
  await second.kill();
  expect(illegalSteps()).toEqual([]);
});

test('a value of 64 MB goes through, also when its row is changed, and the feed goes on', async () => {
  await world.start();
  const seen = world.reader.changes.length;
  await world.pool.query(`insert into app.counters values (900, 'large', 0, repeat('v', 64 * 1024 * 1024))`);
  await world.pool.query(`insert into app.counters values (901, 'large', 0, 'small')`);
  await waitFor('both', () => world.reader.changes.length >= seen + 2);
  const [large, small] = world.reader.changes.slice(seen);
  expect(large?.after?.pad?.length).toBe(64 * 1024 * 1024);
  expect(small?.after?.pad).toBe('small');
  // Now it is in the old row and in the new one.
  await world.pool.query(`update app.counters set n = 1 where id = 900`);
  await waitFor('the update', () => world.reader.changes.length >= seen + 3);
  const update = world.reader.changes.at(seen + 2);
  expect([update?.before?.pad?.length, update?.after?.pad?.length]).toEqual(Array(2).fill(64 * 1024 * 1024));
});

test('the slot moves while only other tables are written', async () => {
  await world.start();
  const before = await confirmedLsn();
  const { rows } = await world.pool.query<{ lsn: string }>(
    `insert into app.other (x) values ('busy') returning pg_current_wal_insert_lsn()::text as lsn`,
  );
  const written = parseLsn(rows[0]?.lsn ?? '0/0');
  await waitFor('the confirmation to pass', async () => (await confirmedLsn()) >= written);
  expect(written).toBeGreaterThan(before);
});

test('a slot that was dropped, or made again, stops the feed until an operator accepts the gap', async () => {
  const dropSlot = () =>
    waitFor('the slot to be dropped', async () => {
      const { rowCount } = await world.pool.query(
        'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active',
        [world.prefix],
      );
      return rowCount === 1;
    });
  await dropSlot();
  await expect(world.start()).rejects.toMatchObject({
    cause: { name: 'GapPossibleError', reason: 'slot_missing' },
  });

  await world.pool.query('update app.counters set n = n + 1 where id <= 40');
  await world.prepare();
  const failure = await world.start().catch((error: unknown) => error);
  expect(failure).toMatchObject({ cause: { name: 'GapPossibleError', reason: 'slot_ahead' } });
  const accepted =
    /ACCEPT_GAP_AFTER=([0-9A-F/]+)/.exec((failure as { cause: Error }).cause.message)?.[1] ?? '';

  const seen = world.reader.changes.length;
  const running = await world.start({ ACCEPT_GAP_AFTER: accepted });
  await waitFor('the reset on each partition', () => world.reader.changes.length >= seen + 24);
  expect(new Set(world.reader.changes.slice(seen).map(({ op, resource }) => `${op} ${resource}`))).toEqual(
    new Set(['truncate counters', 'truncate walkers']),
  );
  await running.stop();

  // It is said once: the same setting left in place accepts no later gap.
  await world.start({ ACCEPT_GAP_AFTER: accepted });
  await world.pool.query('update app.counters set n = n + 1 where id = 1');
  await waitFor('the feed to go on', () => world.reader.changes.length >= seen + 25);
  expect(world.reader.changes.at(-1)).toMatchObject({ op: 'update', after: { id: '1' } });
});

test('when the topic of its state is lost, it goes on from the slot by another count, and no change is missing', async () => {
  const first = await world.start();
  await waitFor('a state', () => world.reader.states.length > 0);
  const former = world.reader.states.at(-1)?.chain?.id ?? '';
  await first.stop();
  const topic = `${world.prefix}.capture`;
  const { kafkaBrokers, schemaRegistryUrl, databaseUrl } = testStack();
  const admin = rawKafka(kafkaBrokers).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [topic] });
  await waitFor('the topic to be gone', async () => !(await admin.listTopics()).includes(topic));
  await admin.disconnect();
  const { rows } = await world.pool.query<{ n: number }>(
    'update app.counters set n = n + 1000 where id = 2 returning n',
  );
  await world.start();
  await using reader = await openChangeReader({ kafkaBrokers, schemaRegistryUrl, databaseUrl }, world.prefix);
  const isIt = ({ op, after }: ReadChange) => op === 'update' && after?.n === String(rows[0]?.n);
  await waitFor('the change that was made meanwhile', () => reader.changes.some(isIt));
  expect(reader.changes.filter(isIt)).toHaveLength(1);
  await waitFor('a state', () => reader.states.length > 0);
  expect((reader.states.at(-1)?.chain?.id ?? '') > former).toBe(true);
});

test('without a slot and without a feed, it says what to do', async () => {
  await using bare = await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG });
  await bare.pool.query('select pg_drop_replication_slot($1)', [bare.prefix]);
  await expect(bare.start()).rejects.toMatchObject({
    cause: { name: 'SetupError', message: expect.stringContaining('tandem source prepare') },
  });
});
