import { Kafka, logLevel, type Producer } from 'kafkajs';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createChangeChain } from '../../../services/capture/publish/publisher.ts';
import { createMessageCodec } from '../../../shared/kafka/messages.ts';
import { createRegistry } from '../../../shared/kafka/registry.ts';
import { feedMirrorGroup, subjectsOf } from '../../../shared/protocol/names.ts';
import { type DispatcherBed, invoiceChange, openDispatcherBed } from '../../support/dispatcher.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';

let cleanup: AsyncDisposableStack;
let bed: DispatcherBed;
let receiver: WebhookReceiver;
let producer: Producer;
let kafka: Kafka;
let chain: ReturnType<typeof createChangeChain>;
let lsn: number;

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  bed = cleanup.use(await openDispatcherBed());
  receiver = cleanup.use(await openWebhookReceiver());
  kafka = new Kafka({ brokers: testStack().kafkaBrokers.split(','), logLevel: logLevel.NOTHING });
  producer = kafka.producer();
  await producer.connect();
  cleanup.defer(() => producer.disconnect());
  chain = createChangeChain(undefined, Date.now());
  lsn = 0x100;
  bed.pool.on('error', () => undefined);
});
afterEach(() => cleanup.disposeAsync());

/** Runs statements on the server, with nobody connected to the control store. */
async function withoutSessions(...statements: string[]): Promise<void> {
  const admin = new pg.Client({ connectionString: testStack().databaseUrl });
  await admin.connect();
  try {
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [store()]);
    await waitFor('its sessions to end', async () => {
      const { rowCount } = await admin.query('select from pg_stat_activity where datname = $1', [store()]);
      return rowCount === 0;
    });
    for (const statement of statements) await admin.query(statement);
  } finally {
    await admin.end();
  }
}

const store = () => new URL(bed.env.CONTROL_DATABASE_URL ?? '').pathname.slice(1);
const backUp = () => withoutSessions(`create database ${store()}_backup template ${store()}`);
const restore = () =>
  withoutSessions(`drop database ${store()}`, `alter database ${store()}_backup rename to ${store()}`);

/** Says, as capture does with what it publishes, how far the feed has come. */
async function sayState(): Promise<void> {
  const codec = createMessageCodec(createRegistry(testStack().schemaRegistryUrl), subjectsOf(bed.prefix));
  lsn += 0x10;
  const message = await codec.encode('CaptureState', 'slot', {
    slot: 'slot',
    system_id: '7',
    timeline: 1,
    last_commit_lsn: lsn - 1,
    last_index: 0,
    passed_lsn: lsn,
    settled_lsn: lsn,
    snapshot: '1:1:',
    unsettled: [],
    unsettled_xmin: null,
    set_aside: [],
    catalog: [],
    chain: { ...chain.state(), seqs: [...chain.state().seqs] },
  });
  await producer.send({ topic: `${bed.prefix}.capture`, messages: [message] });
}

async function publish(...accounts: string[]): Promise<void> {
  for (const account of accounts) {
    lsn += 0x10;
    await bed.publish([invoiceChange({ account, lsn, id: lsn })], chain);
  }
  await sayState();
}

/** The event log of an account, in its order. */
async function logOf(accountId: string): Promise<string[]> {
  const { rows } = await bed.pool.query<{ type: string; commit_lsn: string }>(
    'select type, commit_lsn::text from events where account_id = $1 order by commit_lsn, idx',
    [accountId],
  );
  return rows.map(({ type, commit_lsn: at }) => `${type} ${at}`);
}

/** Once the dispatcher has stored all that was published, and committed its offsets. */
async function untilCommitted(): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const topic = `${bed.prefix}.capture`;
    await waitFor('the offsets of the mirror', async () => {
      const [group] = await admin.fetchOffsets({ groupId: feedMirrorGroup(bed.prefix), topics: [topic] });
      return group?.partitions[0]?.metadata?.startsWith(`7 1 0/${lsn.toString(16).toUpperCase()} `);
    });
  } finally {
    await admin.disconnect();
  }
}

const statuses = async (table: string) => {
  const { rows } = await bed.pool.query(
    `select id, status, error ->> 'code' as code ${table === 'bulk_jobs' ? ', ending' : ''} from ${table} order by id`,
  );
  return rows.map((row) => Object.values(row).join(' ').trim());
};

test('a control store that is restored from a backup gets what it lacks from Kafka, and ends the jobs that it shows as running', async () => {
  const [one, two] = [await bed.addAccount('acc_1'), await bed.addAccount('acc_2')];
  await bed.addEndpoint({ accountId: one, url: receiver.url });
  await bed.pool.query(
    `insert into exports (id, account_id, request, resources, status, phase)
     select 'exp_' || status, $1, '{}', '{invoices}', status, phase
     from (values ('pending', 'queued'), ('paused', 'queued'), ('running', 'extracting'), ('cancelling', 'extracting'), ('completed', 'done'))
       as e (status, phase)`,
    [one],
  );
  await bed.pool.query(
    `insert into bulk_jobs (id, account_id, resource, operation, request, status, estimated, ended_at)
     select 'blk_' || status, $1, 'invoices', 'void', '{}', status, 1, case status when 'completed' then now() end
     from unnest('{pending,running,completed}'::text[]) status`,
    [one],
  );
  await bed.pool.query(
    `insert into bulk_chunks (job_id, chunk, first_seq, item_count, state) values ('blk_running', 0, 0, 1, 'waiting')`,
  );
  {
    await using _dispatcher = await bed.start();
    await publish('acc_1', 'acc_2');
    await receiver.until('the first event', (received) => received.length === 1);
    await untilCommitted();
  }
  const backedUpAt = lsn;
  await backUp();
  let whole: readonly [string[], string[]];
  {
    await using _dispatcher = await bed.start();
    await bed.pool.query(
      `select tell_account($1, 'export.completed', 'export', 'exp_' || n, '{}') from generate_series(1, 5) n`,
      [one],
    );
    await publish('acc_1', 'acc_2', 'acc_1');
    await publish('acc_2');
    await receiver.until('the next events', (received) => received.length === 8);
    await untilCommitted();
    whole = [await logOf(one), await logOf(two)];
  }
  await restore();
  expect(await logOf(one)).toHaveLength(1);
  await using _dispatcher = await bed.start();
  // Nothing new comes: it reads again what it has read, without being asked.
  await waitFor('the log to be whole', async () => (await logOf(two)).length >= whole[1].length);
  await waitFor('the log to be whole', async () => (await logOf(one)).length >= whole[0].length);
  await publish('acc_1');
  await waitFor('the next event', async () => (await logOf(one)).length > whole[0].length);
  expect((await logOf(one)).slice(0, -1)).toEqual(whole[0]);
  expect(await logOf(two)).toEqual(whole[1]);
  // Again, as after any crash, under the same IDs; and none of the account's own events has the ID of another.
  await receiver.until('the failed export', (received) =>
    received.some(({ body }) => body.includes('export.failed')),
  );
  const events = receiver.received.map(
    ({ body }) => JSON.parse(body) as { id: string; type: string; data: { id: string } },
  );
  const byId = Map.groupBy(events, ({ id }) => id);
  expect(
    [...byId.values()].filter((same) => new Set(same.map(({ data, type }) => `${type} ${data.id}`)).size > 1),
  ).toEqual([]);

  expect(await statuses('exports')).toEqual([
    'exp_cancelling cancelled',
    'exp_completed completed',
    'exp_paused failed control_store_restored',
    'exp_pending failed control_store_restored',
    'exp_running failed control_store_restored',
  ]);
  expect(await statuses('bulk_jobs')).toEqual([
    'blk_completed completed',
    'blk_pending pending control_store_restored failed',
    'blk_running running control_store_restored failed',
  ]);
  const { rows: chunks } = await bed.pool.query('select attempt from bulk_chunks');
  expect(chunks).toEqual([{ attempt: 1 }]);
  // Changes-since exports across the time that is not known are refused.
  const { rows: spans } = await bed.pool.query(
    `select since_lsn::text, until_lsn is not null as is_over, reason from feed_set_aside where resource = 'invoices'`,
  );
  const since = `0/${backedUpAt.toString(16).toUpperCase()}`;
  expect(spans).toEqual([{ since_lsn: since, is_over: true, reason: 'control_store_restored' }]);
  // Once: the next start finds a store that is not behind.
  await bed.pool.query(
    `insert into exports (id, account_id, request, resources, status, phase) values ('exp_z', $1, '{}', '{}', 'pending', 'queued')`,
    [one],
  );
  await untilCommitted();
  await using _other = await bed.start();
  expect((await statuses('exports')).at(-1)).toBe('exp_z pending');
});

test('what Kafka has no longer is announced as lost', async () => {
  const account = await bed.addAccount('acc_1');
  {
    await using _dispatcher = await bed.start();
    await publish('acc_1');
    await waitFor('the first event', async () => (await logOf(account)).length === 1);
    await untilCommitted();
  }
  await backUp();
  {
    await using _dispatcher = await bed.start();
    await publish('acc_1', 'acc_1');
    await waitFor('the next events', async () => (await logOf(account)).length === 3);
    await untilCommitted();
  }
  await restore();
  const admin = kafka.admin();
  await admin.connect();
  cleanup.defer(() => admin.disconnect());
  const topic = `${bed.prefix}.changes`;
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({
    topic,
    partitions: ends
      .filter(({ high }) => high !== '0')
      .map(({ partition, high }) => ({ partition, offset: high })),
  });
  await using _dispatcher = await bed.start();
  await publish('acc_1');
  await waitFor('the resets', async () =>
    (await logOf(account)).some((line) => line.startsWith('feed.reset')),
  );
  expect((await logOf(account)).at(-1)).toMatch(/^invoice\.created /);
});

/** How a dispatcher has ended: the last of the causes. */
async function causeOf({ ended }: { readonly ended: Promise<void> }): Promise<unknown> {
  let error: unknown = await ended.catch((reason: unknown) => reason);
  while (error instanceof Error && error.cause !== undefined) error = error.cause;
  return error;
}

test('a dispatcher under which the control store is restored stops before it writes there', async () => {
  const account = await bed.addAccount('acc_1');
  {
    const dispatcher = await bed.start();
    await publish('acc_1');
    await waitFor('the first event', async () => (await logOf(account)).length === 1);
    await untilCommitted();
    const { rows: backup } = await bed.pool.query('select partition, seq, next_offset from recorded_chain');
    await publish('acc_1', 'acc_1');
    await waitFor('the next events', async () => (await logOf(account)).length === 3);
    await untilCommitted();
    // As a backup of that time leaves it.
    await bed.pool.query(
      `with chain as (
         update recorded_chain r set seq = b.seq, next_offset = b.next_offset
         from json_to_recordset($1) as b (partition int, seq bigint, next_offset bigint) where b.partition = r.partition)
       delete from events where commit_lsn > (select min(commit_lsn) from events)`,
      [JSON.stringify(backup)],
    );
    await publish('acc_1');
    expect(await causeOf(dispatcher)).toMatchObject({ name: 'StoreOlderError' });
  }
  const dispatcher = await bed.start();
  await waitFor('the log to be whole', async () => (await logOf(account)).length === 4);
  await sayState();
  await untilCommitted();
  await bed.pool.query(`update feed_state set passed_lsn = '0/1'`);
  await sayState();
  expect(await causeOf(dispatcher)).toMatchObject({ name: 'StoreOlderError' });
});

/** An export that a correction of the store ends. */
const addExport = async (id: string) => {
  await bed.pool.query(
    `insert into exports (id, account_id, request, resources, status, phase)
     select $1, id, '{}', '{}', 'pending', 'queued' from accounts`,
    [id],
  );
};

test('of two dispatchers none takes over a store that was restored under them: the next start corrects it', async () => {
  await bed.addAccount('acc_1');
  const causes: unknown[] = [];
  for (const dispatcher of [await bed.start(), await bed.start()]) {
    void causeOf(dispatcher).then((cause) => causes.push(cause));
    cleanup.defer(() => dispatcher.stop().catch(() => undefined));
  }
  await sayState();
  await untilCommitted();
  await addExport('exp_a');
  // As a backup of an earlier time leaves it, on an idle feed: all else is as it was.
  await bed.pool.query(`update feed_state set passed_lsn = '0/1'`);
  await sayState();
  await waitFor('both to end', () => causes.length === 2);
  expect(causes.map((cause) => (cause as Error).name)).toEqual(['StoreOlderError', 'StoreOlderError']);
  const { rows } = await bed.pool.query('select passed_lsn::text from feed_state');
  expect(rows).toEqual([{ passed_lsn: '0/1' }]);
  await using _dispatcher = await bed.start();
  expect(await statuses('exports')).toEqual(['exp_a failed control_store_restored']);
  await untilCommitted();
});

test('a store that has the state of a new server is behind the mark of another only if it is older', async () => {
  await bed.addAccount('acc_1');
  {
    await using _dispatcher = await bed.start();
    await sayState();
    await untilCommitted();
  }
  await addExport('exp_a');
  // The mirror stores at once, and commits its mark a while later.
  await bed.pool.query(
    `update feed_state set system_id = '8', passed_lsn = '0/1', updated_at = updated_at + interval '1 ms'`,
  );
  {
    await using _dispatcher = await bed.start();
    expect(await statuses('exports')).toEqual(['exp_a pending']);
  }
  await bed.pool.query(`update feed_state set system_id = '6', updated_at = updated_at - interval '2 ms'`);
  await using _dispatcher = await bed.start();
  expect(await statuses('exports')).toEqual(['exp_a failed control_store_restored']);
  const { rows } = await bed.pool.query('select system_id, passed_lsn::text from feed_state');
  expect(rows).toEqual([{ system_id: '7', passed_lsn: `0/${lsn.toString(16).toUpperCase()}` }]);
});
