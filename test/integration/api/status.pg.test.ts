import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openReservedPool } from '../../../services/api/reserved-pool.ts';
import { listDeadEndpoints } from '../../../services/api/status/dead-letters.ts';
import { listFailingEndpoints } from '../../../services/api/status/failing-endpoints.ts';
import { readDeliveries } from '../../../services/api/status/queues.ts';
import { listProcesses, reportProcess } from '../../../shared/control/processes.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createMetrics } from '../../../shared/runtime/metrics.ts';
import { announceProcess } from '../../../shared/service/announce-process.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { explaining } from '../../support/explain.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { openSilentProxy } from '../../support/silent-proxy.ts';
import { waitFor } from '../../support/wait-for.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api?.[Symbol.asyncDispose]());

const statusNow = async () => {
  const { status, json } = await api.operator('GET', '/admin/status');
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
  await api.operator('PATCH', `/admin/accounts/${id}`, { limits: { max_running_exports: 1 } });
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
  const spy = vi.spyOn(api.doorPool, 'query');
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
    // Each takes a transaction ID.
    for (let n = 0; n < 5; n += 1) await api.pool.query('select pg_current_xact_id()');
    const { held_transactions: held, held_xmin_age: xminAge } = await freshStatus();
    expect(xminAge).toBeGreaterThanOrEqual(5);
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
  // Else it would wait for ever, and the test with it.
  const { consumers, queues } = await read();
  expect([consumers, queues.outbox]).toEqual([[], { waiting: 0, oldest_seconds: null }]);
});

test('many deliveries that failed are counted from indexes alone, and not with every reading', async () => {
  let nowMs = Date.now();
  await using many = await openTestApi({ status: { now: () => nowMs } });
  const { key } = await many.account();
  const webhook = async (n: number) =>
    (
      await many.call('POST', '/webhooks', {
        key,
        body: { url: `https://r${n}.example/hook`, events: ['*'] },
      })
    ).json.id;
  const [first, last] = [await webhook(1), await webhook(2)];
  await many.pool.query(
    `/* arranged */ insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, state, next_attempt_at)
     select case when n % 2 = 0 then $1 else $2 end, '0/1', n, now(), 'invoices/' || n,
       case when n < 20000 then 'dead' else 'waiting' end, now() + (n - 21000.5) * interval '1 hour'
     from generate_series(1, 22000) n`,
    [first, last],
  );
  await many.pool.query('vacuum analyze webhook_parked');
  const plans: string[] = [];
  const explained: Queryable = {
    async query(query: string | { text: string }, values?: unknown[]) {
      const { rows } = await many.pool.query(
        `explain ${typeof query === 'string' ? query : query.text}`,
        values,
      );
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
      return many.pool.query(query as string, values);
    },
  };
  expect(await readDeliveries(explained)).toEqual({ retrying: 2_001, due: 1_001, dead: 19_999 });
  expect((await listDeadEndpoints(explained, undefined, 1)).map(({ id, dead }) => [id, dead])).toEqual([
    [last, 10_000],
  ]);
  expect(plans).toHaveLength(2);
  for (const plan of plans) {
    expect(plan).toMatch(/Index Only Scan using \w+ on webhook_parked/);
    expect(plan).not.toMatch(/(?:Seq|Index|Heap) Scan (?:using \w+ )?on webhook_parked/);
  }

  const spy = vi.spyOn(many.doorPool, 'query');
  const readings = async () => {
    await many.call('GET', '/admin/status', { key: ADMIN_KEY });
    const asked = spy.mock.calls.map(([query]) => JSON.stringify(query));
    return ['read_queues', 'read_deliveries'].map(
      (name) => asked.filter((text) => text.includes(name)).length,
    );
  };
  expect(await readings()).toEqual([1, 1]);
  nowMs += 3_000;
  expect(await readings()).toEqual([2, 1]);
  nowMs += 8_000;
  expect(await readings()).toEqual([3, 2]);
});

test('endpoints that fail are found among many without looking at the others', async () => {
  await using many = await openTestApi();
  const { id } = await many.account();
  await many.pool.query(
    `insert into webhooks (id, account_id, url, events, status, secrets, start, cursor_lsn, cursor_idx, failing_since)
     select 'whk_' || n, $1, 'https://r.example', '{*}', case when n % 500 = 0 then 'disabled' else 'active' end, '[]', '"now"', '0/0', 0,
       case when n % 500 = 1 then now() - n * interval '1 minute' end
     from generate_series(1, 5000) n`,
    [id],
  );
  await many.pool.query('vacuum analyze webhooks');
  const explained = explaining(many.pool);
  const first = await listFailingEndpoints(explained.db, undefined, 5);
  const last = first.at(-1);
  const next = await listFailingEndpoints(
    explained.db,
    { at: last?.created_at_text ?? '', id: last?.id ?? '' },
    5,
  );
  expect([...first, ...next].map(({ id: webhookId }) => webhookId)).toEqual(
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((n) => `whk_${n * 500 + 1}`),
  );
  expect([explained.rowsRead('webhooks'), explained.scanned.has('webhooks')]).toEqual([10, false]);
});

test('capture is listed once: by its row, or without a live one by its session on the source', async () => {
  let nowMs = Date.now();
  const ownSessions = async () => ({ transactions: [], xminAge: 0, slotReadSince: new Date(0) });
  await using one = await openTestApi({ status: { ownSessions, now: () => nowMs } });
  const captures = async () => {
    nowMs += 60_000;
    const { json } = await one.call('GET', '/admin/status', { key: ADMIN_KEY });
    return json.processes.map(({ id, state }: { id: string; state: string }) => `${id} ${state}`);
  };
  expect(await captures()).toEqual(['slot ready']);
  await reportProcess(one.pool, { id: 'c1', service: 'capture', version: '1', host: 'h', pid: 1 }, true);
  expect(await captures()).toEqual(['c1 ready']);
  await one.pool.query(`update processes set seen_at = now() - interval '21 seconds'`);
  expect(await captures()).toEqual(['c1 silent', 'slot ready']);
});

test.for(['between two reports', 'during a report'])(
  'a control store that swallows packets %s holds up no process that ends',
  async (moment) => {
    const store = new URL(api.databaseUrl);
    await using proxy = await openSilentProxy(store.hostname, Number(store.port));
    store.host = `127.0.0.1:${proxy.port}`;
    const pool = createControlPool(store.href, silentLog, { applicationName: 'test silent', max: 1 });
    const everyMs = moment === 'during a report' ? 20 : 60_000;
    const process = announceProcess(
      { id: moment, service: 'writer' },
      { db: pool, health: { ready: true }, log: silentLog, everyMs },
    );
    await waitFor('the process is listed', async () =>
      (await listProcesses(api.pool)).some(({ id }) => id === moment),
    );
    await waitFor('the report has come back', () => pool.idleCount === 1);
    proxy.silence();
    if (moment === 'during a report') await waitFor('a report waits', () => pool.idleCount === 0);
    // Each would wait for ever for an answer, and the test with it.
    await process[Symbol.asyncDispose]();
    await pool.end();
  },
);

test('what the reserved connections are asked ends in seconds, also when the network swallows it', async () => {
  const store = new URL(api.databaseUrl);
  await using proxy = await openSilentProxy(store.hostname, Number(store.port));
  store.host = `127.0.0.1:${proxy.port}`;
  await using cleanup = new AsyncDisposableStack();
  const health = { live: true, ready: true, metrics: createMetrics() };
  const pool = openReservedPool({ cleanup, log: silentLog, health }, { controlUrl: new Secret(store.href) });
  await pool.query('select 1');
  proxy.silence();
  await expect(pool.query('select 1')).rejects.toThrow(/timeout/);
  await pool.query('select 1');
});
