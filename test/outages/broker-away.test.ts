import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CaptureWorld, createCaptureWorld } from '../support/capture-world.ts';
import { type OwnKafka, openOwnKafka } from '../support/own-kafka.ts';
import { openOwnPostgres } from '../support/own-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.items (id bigint primary key, account_id text not null, pad text);
`;

const CATALOG = `
catalog: away
resources:
  items: { table: app.items, event: item, key: [id], account: account_id }
`;

const cleanup = new AsyncDisposableStack();
let kafka: OwnKafka;
let world: CaptureWorld;

beforeAll(async () => {
  kafka = cleanup.use(await openOwnKafka());
  const postgres = cleanup.use(await openOwnPostgres());
  world = cleanup.use(
    await createCaptureWorld({
      schemaSql: SCHEMA,
      catalog: CATALOG,
      kafkaBrokers: kafka.brokers,
      serverUrl: postgres.url('postgres'),
    }),
  );
});
// Also when one of them can't be taken down in order, as topics of a broker that is away.
afterAll(() => cleanup.disposeAsync());

/** Of the process, its heap and buffers alike. */
function residentMegabytes(pid: number): number {
  const [, kilobytes = '0'] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1024;
}

/** The IDs in the order of the topic. The reader begins again when its broker comes back, and reads what it had again. */
function publishedIds(): number[] {
  const byOffset = new Map(
    world.reader.changes.map(({ offset, after }) => [Number(offset), Number(after?.id)]),
  );
  return [...byOffset].toSorted(([a], [b]) => a - b).map(([, id]) => id);
}

const ROWS_EACH = 2_500;

const write = (transaction: number) =>
  world.pool.query(
    `insert into app.items select $1::int * ${ROWS_EACH} + n, 'acme', repeat('p', 1800)
     from generate_series(1, ${ROWS_EACH}) n`,
    [transaction],
  );

test('while the broker is away memory stays flat and the slot keeps the WAL; then all of it comes in order', async () => {
  const { child, hasLogged } = world.spawn();
  await waitFor('it to stream', () => hasLogged('feed.started'));
  await write(0);
  await waitFor('the first rows', () => publishedIds().length === ROWS_EACH);
  const beforeMb = residentMegabytes(child.pid ?? 0);

  await kafka.kill();
  // Some 23 MB, three times what is queued before the server is made to wait. Not so long that it is compressed.
  for (let transaction = 1; transaction <= 5; transaction += 1) await write(transaction);
  await waitFor('a session to give up on the broker', () => hasLogged('session.failed'));
  expect(residentMegabytes(child.pid ?? 0) - beforeMb).toBeLessThan(100);
  const { rows } = await world.pool.query<{ kept: string }>(
    `select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::text as kept
     from pg_replication_slots where slot_name = $1`,
    [world.prefix],
  );
  expect(Number(rows[0]?.kept)).toBeGreaterThan(20_000_000);

  await kafka.start();
  await waitFor('the rest', () => publishedIds().length >= 6 * ROWS_EACH);
  expect(publishedIds()).toEqual(Array.from({ length: 6 * ROWS_EACH }, (_, place) => place + 1));
  expect(child.exitCode).toBeNull();
});
