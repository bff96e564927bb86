import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openReceiver } from '../../deploy/demo/receiver.ts';
import type { FeedEvent } from '../../deploy/demo/replica.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { type OwnPostgres, openOwnPostgres } from '../support/own-postgres.ts';
import { raiseEpoch } from '../support/raise-epoch.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * A source where commits are streamed long before they are visible, or visible long before they are durable. Its
 * transaction IDs are past 2^32, so that both tests also see each of them widened.
 */
const cleanup = new AsyncDisposableStack();
let postgres: OwnPostgres;
let world: World;
let customer: Customer;
let invoiceCount = 0;
let client: pg.Client;

beforeAll(async () => {
  // Asynchronous commits stay in memory for ten seconds.
  postgres = cleanup.use(await openOwnPostgres({ wal_writer_delay: '10s' }));
  client = await connect(postgres.url('postgres'));
  // Nobody waits for a standby but who says so. From a start on, because a server takes a while to heed a changed setting.
  await client.query('alter role postgres set synchronous_commit = local');
  await client.query(`alter system set synchronous_standby_names = 'nobody'`);
  await client.end();
  await postgres.stop();
  raiseEpoch(postgres.dataDirectory);
  await postgres.start();
  client = await connect(postgres.url('postgres'));
  world = await openTestWorld({
    stack: { databaseUrl: postgres.url('postgres') },
    controlServerUrl: testStack().databaseUrl,
    rows: 100,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
  });
  cleanup.use(world);
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  await client.end();
  client = await connect(world.sourceUrl);
  invoiceCount = await countInvoices();
});

afterAll(async () => {
  await client?.end();
  await cleanup.disposeAsync();
});

async function connect(url: string): Promise<pg.Client> {
  const session = new pg.Client({ connectionString: url });
  session.on('error', () => undefined);
  await session.connect();
  return session;
}

/** A session of the running test. Left open in a transaction, it would hold up every other test on its server. */
async function connectForTest(url: string): Promise<pg.Client> {
  const session = await connect(url);
  onTestFinished(() => session.end());
  return session;
}

async function countInvoices(): Promise<number> {
  const { rows } = await client.query<{ count: string }>(
    'select count(*) from documint.invoices where account_id = $1 and deleted_at is null',
    [customer.sourceId],
  );
  return Number(rows[0]?.count);
}

const INSERT = `
  insert into documint.invoices (account_id, customer_id, currency, tax, total, issued_on, memo)
  select account_id, min(id), 'EUR', 1, 2, current_date, $2 from documint.customers
  where account_id = $1 group by account_id`;

async function eventsAfter(exportId: string): Promise<FeedEvent[]> {
  const text = await customer.client.text('GET', `/events?after_export=${exportId}&limit=1000`);
  return (JSON.parse(text) as { data: FeedEvent[] }).data;
}

test('a commit that is streamed while no snapshot sees it comes by the feed, after every export taken meanwhile', async () => {
  const { rows } = await client.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
  expect(BigInt(rows[0]?.xid ?? 0)).toBeGreaterThan(1n << 32n);
  const events: FeedEvent[] = [];
  await using receiver = await openReceiver({
    onDelivery({ event }) {
      events.push(event);
      return { status: 204 };
    },
  });
  const { secret } = await customer.client.call<{ secret: string }>('POST', '/webhooks', {
    url: receiver.url,
    events: ['invoice.*'],
    start: 'now',
  });
  receiver.setSecret(secret);
  const first = await createExport(world, customer);
  await customer.client.completedExport(first.id, 120_000);

  const stalled = await connectForTest(world.sourceUrl);
  await stalled.query('set synchronous_commit = on');
  const committing = stalled.query(INSERT, [customer.sourceId, 'stalled']);
  await waitFor('the stalled commit to be delivered', () => events.length > 0);
  expect(await countInvoices()).toBe(invoiceCount);

  const meanwhile = await createExport(world, customer);
  const replica = await loadExport(world, customer, meanwhile.id);
  expect(replica.records('invoices').size).toBe(invoiceCount);
  // Whoever takes over must know that the last transaction is not settled yet.
  world.services.kill('capture', 0, 'SIGKILL');
  const later = await createExport(world, customer);
  const laterReplica = await loadExport(world, customer, later.id);
  expect(laterReplica.records('invoices').size).toBe(invoiceCount);

  await client.query(`alter system reset synchronous_standby_names`);
  await client.query('select pg_reload_conf()');
  await committing;
  invoiceCount += 1;
  for (const [id, taken] of [
    [meanwhile.id, replica],
    [later.id, laterReplica],
  ] as const) {
    let after = `after_export=${id}`;
    const advance = async () => {
      after = await pullFeed(customer, after, taken);
    };
    expect(await differencesAfter(world, customer, taken, advance)).toEqual([]);
    expect(taken.records('invoices').size).toBe(invoiceCount);
  }
  const afterwards = await createExport(world, customer);
  const whole = await loadExport(world, customer, afterwards.id);
  expect(whole.records('invoices').size).toBe(invoiceCount);
  expect(await eventsAfter(afterwards.id)).toEqual([]);
});

test('a transaction that was prepared before the snapshot and committed after it comes by the feed, once', async () => {
  await client.query('begin');
  await client.query(INSERT, [customer.sourceId, 'prepared']);
  await client.query(`prepare transaction 'around the snapshot'`);
  const { id } = await createExport(world, customer);
  const replica = await loadExport(world, customer, id);
  expect(replica.records('invoices').size).toBe(invoiceCount);
  await client.query(`commit prepared 'around the snapshot'`);
  invoiceCount += 1;
  let after = `after_export=${id}`;
  const advance = async () => {
    after = await pullFeed(customer, after, replica);
  };
  expect(await differencesAfter(world, customer, replica, advance)).toEqual([]);
  const afterwards = await createExport(world, customer);
  expect((await loadExport(world, customer, afterwards.id)).records('invoices').size).toBe(invoiceCount);
  expect(await eventsAfter(afterwards.id)).toEqual([]);
});

/** Until a session of this kind waits for a lock in a statement like this. */
async function untilWaiting(db: pg.Client, application: string, statement: string): Promise<void> {
  await waitFor(`${application} to wait for a lock`, async () => {
    const { rowCount } = await db.query(
      `select from pg_stat_activity
       where wait_event_type = 'Lock' and application_name like $1 and query ilike $2`,
      [application, statement],
    );
    return rowCount !== 0;
  });
}

test('an export that holds a commit which a crash takes back is not published, and starts again', async () => {
  const session = await connectForTest(world.sourceUrl);
  await session.query('set synchronous_commit = off');
  await session.query('begin');
  await session.query(INSERT, [customer.sourceId, 'in memory']);
  // The export waits for the table, and so has the commit in its snapshot. Locked later, the table may be the export's already.
  await session.query('lock table documint.customers in access exclusive mode');
  const { id } = await createExport(world, customer);
  await untilWaiting(client, 'tandem extractor %', '%lock table%');
  // Its snapshot can't be stored, and only then would it send its seal, which makes durable what it has seen.
  const control = await connectForTest(world.controlUrl);
  await control.query('begin');
  await control.query('select from tandem.exports where id = $1 for update', [id]);
  await session.query('commit');
  const observer = await connectForTest(world.controlUrl);
  await untilWaiting(observer, 'tandem extractor%', '%seal_token%');
  await postgres.crash();
  await control.end();
  await postgres.start();
  client = await connect(world.sourceUrl);
  const { rows } = await client.query(`select from documint.invoices where memo = 'in memory'`);
  expect(rows).toEqual([]);
  // Takes the lost transaction's ID and place in the WAL for something else.
  await client.query(INSERT, [customer.sourceId, 'after the crash']);
  invoiceCount += 1;
  const replica = await loadExport(world, customer, id);
  let after = `after_export=${id}`;
  const advance = async () => {
    after = await pullFeed(customer, after, replica);
  };
  expect(await differencesAfter(world, customer, replica, advance)).toEqual([]);
  expect(replica.records('invoices').size).toBe(invoiceCount);
});
