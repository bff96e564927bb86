import type { ProducerRecord } from 'kafkajs';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createOutboxRelay, type RelayDeps } from '../../../services/api/outbox-relay.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import { enqueueOutbox } from '../../../shared/control/outbox.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createDatabase('outbox');
  pool = createControlPool(database.url, silentLog, { applicationName: 'test' });
  await migrate(pool);
});
beforeEach(async () => {
  await pool.query('truncate outbox');
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const encode: RelayDeps['codec']['encode'] = async (type, key, value) => ({
  key,
  value: Buffer.from(JSON.stringify(value)),
  headers: { type },
});

/** A relay whose Kafka is `send`; it runs until it is disposed of. */
function startRelay(send: (batch: ProducerRecord) => Promise<void>, prepare = async () => {}) {
  const relay = createOutboxRelay({
    pool,
    producer: {
      async send(request) {
        await send(request);
        return [];
      },
    },
    codec: { encode },
    topics: { commands: 'c', jobs: 'j' },
    notifier: createNotifier(),
    prepare,
    log: silentLog,
  });
  const stop = new AbortController();
  const running = relay.run(stop.signal);
  running.catch(() => undefined);
  return {
    relay,
    running,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running.catch(() => undefined);
    },
  };
}

async function enqueue(from: number, count: number): Promise<void> {
  await enqueueOutbox(
    pool,
    Array.from({ length: count }, (_, at) => ({
      topic: 'commands' as const,
      key: `exp_${from + at}`,
      type: 'ExtractExport' as const,
      payload: { job_id: `exp_${from + at}` },
    })),
  );
}

const keysOf = ({ messages }: ProducerRecord) => messages.map(({ key }) => String(key));

const left = async () => Number((await pool.query('select count(*) from outbox')).rows[0].count);

test('a broker that is down loses nothing: what could not be sent stays, and is sent when it is back', async () => {
  let isDown = true;
  const sent: string[] = [];
  let refusedCount = 0;
  await enqueue(0, 3);
  await using started = startRelay(async (batch) => {
    if (isDown) {
      refusedCount += 1;
      throw new Error('the broker is down');
    }
    sent.push(...keysOf(batch));
  });
  await waitFor('the relay has tried twice', () => refusedCount >= 2);
  expect(started.relay.isRunning()).toBe(true);
  expect(await left()).toBe(3);
  isDown = false;
  await waitFor('the outbox is empty', async () => (await left()) === 0);
  expect(sent).toEqual(['exp_0', 'exp_1', 'exp_2']);
});

test('a crash between sending and deleting sends again', async () => {
  const sent: string[] = [];
  await enqueue(0, 1);
  let crashCount = 0;
  await using _started = startRelay(async (batch) => {
    sent.push(...keysOf(batch));
    if (crashCount > 0) return;
    crashCount += 1;
    // The session ends as it would with its process: sent, not deleted.
    await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and state = 'idle in transaction'`,
    );
  });
  await waitFor('the outbox is empty', async () => (await left()) === 0);
  expect(sent).toEqual(['exp_0', 'exp_0']);
});

test('two relays send everything once and in order', async () => {
  const sent: string[] = [];
  await using _one = startRelay(async (batch) => void sent.push(...keysOf(batch)));
  await using _two = startRelay(async (batch) => void sent.push(...keysOf(batch)));
  for (let from = 0; from < 500; from += 50) await enqueue(from, 50);
  await waitFor('the outbox is empty', async () => (await left()) === 0);
  expect(sent).toEqual(Array.from({ length: 500 }, (_, at) => `exp_${at}`));
});

test('Kafka that is not there at the start is waited for, topics that do not fit are not', async () => {
  let prepareCount = 0;
  const sent: string[] = [];
  await enqueue(0, 1);
  await using _started = startRelay(
    async (batch) => void sent.push(...keysOf(batch)),
    async () => {
      prepareCount += 1;
      if (prepareCount < 3) throw new Error('no broker');
    },
  );
  await waitFor('it was sent', () => sent.length === 1);
  await using unfit = startRelay(
    async () => {},
    async () => {
      throw new SetupError('the Kafka topics do not fit');
    },
  );
  await expect(unfit.running).rejects.toThrow(SetupError);
});
