import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../../shared/domain/ids.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { openSilentProxy } from '../../support/silent-proxy.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.items (id int primary key, account_id text not null, pad text not null);
`;

const CATALOG = `
catalog: bulk_jobs
resources:
  items:
    table: app.items
    event: item
    key: [id]
    account: account_id
`;

/** Some 12 MB of changes in one transaction of the source: three of Kafka's, or more. */
const ROWS = 12_000;
const PART_BYTES = 9_000_000;

let world: CaptureWorld;

beforeAll(async () => {
  world = await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG });
});
afterAll(() => world[Symbol.asyncDispose]());

test('all changes of a bulk transaction carry its job, also when capture is killed in the middle of it', async () => {
  const { reader } = world;
  const jobId = newId('blk');
  const [first, product] = [await world.pool.connect(), await world.pool.connect()];
  try {
    // The product's own transaction is open before, during and after the job's, and is committed first.
    await product.query('begin');
    await product.query("insert into app.items values (-1, 'acme', 'before')");
    await first.query('begin');
    await first.query("select pg_logical_emit_message(true, 'tandem.bulk', $1)", [jobId]);
    await first.query(
      `insert into app.items select n, 'acme', repeat('p', 1000) from generate_series(1, ${ROWS}) n`,
    );
    await product.query("insert into app.items values (-2, 'acme', 'meanwhile')");
    await product.query('commit');
    await first.query('commit');
  } finally {
    first.release();
    product.release();
  }
  await world.pool.query("insert into app.items values (-3, 'acme', 'after')");

  // So much of it gets to capture that it publishes a part, and never the rest.
  const { hostname, port } = new URL(world.url);
  await using proxy = await openSilentProxy(hostname, Number(port));
  proxy.allow(PART_BYTES);
  const url = new URL(world.url);
  url.port = String(proxy.port);
  const { kill } = world.spawn([], { DATABASE_URL: url.href });
  await waitFor('a part of the transaction', () => reader.changes.length > 2);
  await kill();
  const seen = reader.changes.length;
  await world.start();
  await waitFor('the rest', () => reader.changes.length >= ROWS + 3);

  // Else the test would have shown nothing of a restart in the middle.
  expect(seen).toBeLessThan(ROWS + 2);
  const ofJob = reader.changes.filter(({ bulkJobId }) => bulkJobId === jobId);
  expect(ofJob.map(({ index }) => index)).toEqual(Array.from({ length: ROWS }, (_, index) => index));
  expect(new Set(ofJob.map(({ xid }) => xid)).size).toBe(1);
  const others = reader.changes.filter(({ bulkJobId }) => bulkJobId === null);
  expect(others.map(({ after }) => after?.id)).toEqual(['-1', '-2', '-3']);
});
