import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { listProcesses, reportProcess } from '../../../shared/control/processes.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { announceProcess } from '../../../shared/service/announce-process.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { waitFor } from '../../support/wait-for.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api?.[Symbol.asyncDispose]());

const operator = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { key: ADMIN_KEY, ...(body === undefined ? {} : { body }) });

const statusNow = async () => {
  const { status, json } = await operator('GET', '/admin/status');
  expect(status).toBe(200);
  return json;
};

/** A status that was read after this moment, not kept from before. */
async function freshStatus() {
  const since = new Date().toISOString();
  return waitFor('a fresh status', async () => {
    const json = await statusNow();
    return json.at > since ? json : undefined;
  });
}

test('the status has what runs and waits; a part that cannot be read is null', async () => {
  const { key } = await api.account();
  await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  await reportProcess(api.pool, { id: 'p1', service: 'writer', version: '1', host: 'h', pid: 1 }, true);
  await reportProcess(api.pool, { id: 'p2', service: 'bulk', version: '1', host: 'h', pid: 2 }, true);
  await api.pool.query(`update processes set seen_at = now() - interval '21 seconds' where id = 'p2'`);
  const status = await freshStatus();
  expect(status.queues).toMatchObject({
    exports: { queued: 1, queued_by_limit: 0, extracting: 0 },
    export_chunks: { waiting: 0 },
    bulk: { queued: 0, oldest_queued_seconds: null },
    outbox: { waiting: 2 },
  });
  expect(status.queues.exports.oldest_queued_seconds).toBeGreaterThan(0);
  expect(status.processes.map(({ id, state }: { id: string; state: string }) => [id, state])).toEqual([
    ['p2', 'silent'],
    ['p1', 'ready'],
  ]);
  expect(status.held_transactions).toEqual([]);
  expect(status.consumers).toBeNull();
  expect(status.source).toMatchObject({ slot: 'test', state: 'unknown', warn_bytes: 1_000_000_000 });
  const codes = status.bottlenecks.map(({ code }: { code: string }) => code);
  expect(codes).toContain('kafka_silent');
  expect(status.bottlenecks).toContainEqual(
    expect.objectContaining({ code: 'service_missing', subject: 'extractor, dispatcher, bulk' }),
  );
});

test('of several exports those above the limit of their account wait for it', async () => {
  const { id, key } = await api.account();
  await operator('PATCH', `/admin/accounts/${id}`, { limits: { max_running_exports: 1 } });
  for (let n = 0; n < 3; n += 1) await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  const before = (await freshStatus()).queues.exports;
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting'
     where id = (select min(id) from exports where account_id = $1)`,
    [id],
  );
  const after = (await freshStatus()).queues.exports;
  expect([before.queued_by_limit, after.queued_by_limit]).toEqual([0, 2]);
  expect([after.queued, after.extracting]).toEqual([before.queued - 1, before.extracting + 1]);
});

test('however many ask, the status is read once', async () => {
  await freshStatus();
  const spy = vi.spyOn(api.pool, 'query');
  try {
    const all = await Promise.all(Array.from({ length: 50 }, statusNow));
    const reads = spy.mock.calls.filter(([query]) => JSON.stringify(query).includes('read_queues'));
    expect(reads.length).toBeLessThan(2);
    expect(new Set(all.map(({ at }) => at)).size).toBeLessThan(3);
  } finally {
    spy.mockRestore();
  }
});

test('a transaction that Tandem holds on the source is told, with its service', async () => {
  const session = openProductPool({
    connectionString: api.databaseUrl,
    max: 1,
    application_name: 'tandem extractor',
  });
  const client = await session.connect();
  try {
    await client.query('begin isolation level repeatable read');
    await client.query('select 1');
    const { held_transactions: held } = await freshStatus();
    expect(held).toContainEqual(
      expect.objectContaining({
        application: 'tandem extractor',
        state: 'idle in transaction',
        holds_vacuum: true,
      }),
    );
  } finally {
    client.release(true);
    await session.end();
  }
});

test('a process is listed while it runs, whether it is ready or not, and not after', async () => {
  const health = { ready: false };
  const listed = async () => (await listProcesses(api.pool)).find(({ id }) => id === 'running');
  {
    await using _ = announceProcess(
      { id: 'running', service: 'writer' },
      { db: api.pool, health, log: silentLog, everyMs: 20 },
    );
    await waitFor('the process is listed', async () => (await listed())?.isReady === false);
    health.ready = true;
    await waitFor('the process is ready', async () => (await listed())?.isReady === true);
    const first = (await listed())?.seenAt ?? new Date(0);
    await waitFor('the row is renewed', async () => ((await listed())?.seenAt ?? first) > first);
  }
  expect(await listed()).toBeUndefined();
});

test('a broker that is out of reach holds nothing up, and what it said last is shown meanwhile', async () => {
  const readings = [Promise.resolve([]), Promise.withResolvers<never>().promise];
  let nowMs = Date.now();
  await using slow = await openTestApi({
    status: { consumerLag: () => readings.shift() ?? Promise.reject(new Error('away')), now: () => nowMs },
  });
  const read = async () => {
    const { json } = await slow.call('GET', '/admin/status', { key: ADMIN_KEY });
    return json;
  };
  expect((await read()).consumers).toEqual([]);
  nowMs += 60_000;
  const before = performance.now();
  const { consumers, queues } = await read();
  expect([consumers, queues.outbox]).toEqual([[], { waiting: 0, oldest_seconds: null }]);
  expect(performance.now() - before).toBeLessThan(10_000);
});
