import { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { waitFor } from '../../support/wait-for.ts';

let cleanup: AsyncDisposableStack;
beforeEach(() => {
  cleanup = new AsyncDisposableStack();
});
afterEach(() => cleanup.disposeAsync());

const voidOf = (ids: readonly (string | undefined)[]) => ({ resource: 'invoices', operation: 'void', ids });

/** A session of the product that holds rows locked until it is let go. */
const hold = async (
  world: BulkWorld,
  table: 'invoices' | 'customers',
  ids: readonly string[],
): Promise<() => Promise<void>> => {
  const session = new Client({ connectionString: world.api.databaseUrl });
  await session.connect();
  cleanup.defer(() => session.end());
  await session.query('begin');
  await session.query(`select from documint.${table} where id = any ($1::bigint[]) for update`, [ids]);
  return async () => {
    await session.query('rollback');
  };
};

test('many synchronous requests of one account that find its rows locked hold up nobody else', async () => {
  const world = cleanup.use(
    await openBulkWorld({ syncApplyLimits: { max: 3, perAccount: 2, waitMs: 1_000 } }),
  );
  const mine = await world.account(1);
  const other = await world.account(1);
  const letGo = await hold(world, 'invoices', mine.ids);
  const requests = Array.from({ length: 40 }, () => world.submit(mine.key, voidOf(mine.ids)));
  const done = await world.submit(other.key, voidOf(other.ids));
  expect(done).toMatchObject({ status: 200, json: { succeeded: 1 } });
  const all = await Promise.all(requests);
  await letGo();
  const refused = all.filter(({ status }) => status !== 200);
  expect(refused.length).toBeGreaterThan(30);
  for (const { status, headers, json } of refused) {
    expect(status).toBe(429);
    expect(headers.get('retry-after')).toBe('2');
    expect(json.code).toBe('too_many');
  }
  for (const { json } of all.filter(({ status }) => status === 200)) {
    expect(json.results).toMatchObject([{ status: 'failed', code: 'conflict' }]);
  }
});

test('while every connection for requests is taken, probes, metrics and keys are answered', async () => {
  const world = cleanup.use(await openBulkWorld());
  const { pool } = world.api;
  const taken = await Promise.all(Array.from({ length: 10 }, () => pool.connect()));
  try {
    expect((await world.api.call('GET', '/healthz')).status).toBe(200);
    expect(await world.api.call('GET', '/readyz')).toMatchObject({ status: 200, json: { warnings: [] } });
    expect((await world.api.call('GET', '/metrics', { key: ADMIN_KEY })).status).toBe(200);
    const wrong = Array.from({ length: 200 }, (_, n) =>
      world.api.call('GET', '/exports', { key: `tk_${n}` }),
    );
    for (const { status } of await Promise.all(wrong)) expect(status).toBe(401);
    // None of them has come free meanwhile.
    expect([pool.totalCount, pool.idleCount]).toEqual([10, 0]);
  } finally {
    for (const client of taken) client.release();
  }
});

test('when all places are taken by others, a request is told to come again', async () => {
  const world = cleanup.use(await openBulkWorld({ syncApplyLimits: { max: 1, perAccount: 1, waitMs: 100 } }));
  const mine = await world.account(1);
  const other = await world.account(1);
  const letGo = await hold(world, 'invoices', mine.ids);
  const running = world.submit(mine.key, voidOf(mine.ids));
  await waitFor('it to hold its quota', async () => {
    const { rows } = await world.api.pool.query('select from bulk_quota_holds');
    return rows.length > 0;
  });
  const refused = await world.submit(other.key, voidOf(other.ids));
  expect(refused).toMatchObject({ status: 503, json: { code: 'unavailable' } });
  expect(refused.headers.get('retry-after')).toBe('2');
  await letGo();
  expect((await running).status).toBe(200);
  expect((await world.submit(other.key, voidOf(other.ids))).status).toBe(200);
  // Nothing is set aside, and nothing locked, by what is over.
  expect((await world.api.pool.query('select from bulk_quota_holds')).rows).toEqual([]);
});

test('a request that finds the connections to the source taken is told to come again', async () => {
  // Longer than the first connection takes.
  const connections = { source: 1, waitMs: 1_000 };
  const world = cleanup.use(await openBulkWorld({ connections }));
  const mine = await world.account(1);
  const other = await world.account(1);
  // The product's own trigger waits for a row that a session of the product holds, for longer than our statements wait for locks.
  await world.api.pool.query(`
    create function documint.look() returns trigger language plpgsql set lock_timeout = 0 as $$ begin
      perform from documint.customers where id = new.customer_id for update;
      return new;
    end $$;
    create trigger look before update on documint.invoices for each row execute function documint.look()`);
  const letGo = await hold(world, 'customers', mine.ids);
  const running = world.submit(mine.key, voidOf(mine.ids));
  await waitFor('its statement to wait', async () => {
    const { rows } = await world.api.pool.query(
      "select from pg_stat_activity where application_name = 'test bulk' and wait_event_type = 'Lock' and datname = current_database()",
    );
    return rows.length > 0;
  });
  const refused = await world.submit(other.key, voidOf(other.ids));
  expect(refused).toMatchObject({ status: 503, json: { code: 'unavailable' } });
  expect(refused.headers.get('content-type')).toContain('application/problem+json');
  expect(refused.headers.get('retry-after')).toBe('2');
  await letGo();
  expect(await running).toMatchObject({ status: 200, json: { succeeded: 1 } });
  expect((await world.submit(other.key, voidOf(other.ids))).status).toBe(200);
});
