import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { takeRoutes } from '../../../shared/control/route-generations.ts';
import { addRoutes, sweepGenerations, sweepRoutes } from '../../../shared/control/routes.ts';
import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import type { CaptureWorld } from '../../support/capture-world.ts';
import { createParentsWorld, type ParentsWorld } from '../../support/parents-world.ts';

const cleanup = new AsyncDisposableStack();
let parents: ParentsWorld;
let world: CaptureWorld;

beforeAll(async () => {
  parents = cleanup.use(await createParentsWorld());
  world = parents.capture;
});
afterAll(() => cleanup.disposeAsync());
afterEach(() => world?.endAll());

test('routes of earlier generations, and of records that were deleted long ago, are swept', async () => {
  await parents.start();
  const current = String(await parents.generation());
  await world.pool.query(
    `insert into tandem.routes (generation, resource, key, since_lsn, owner, is_deleted, written_at) values
       (0, 'customers', '["1"]', '0/0', 'acme', false, now()),
       ($1, 'customers', '["gone"]', '0/0', 'acme', false, now()),
       ($1, 'customers', '["gone"]', '0/1', 'acme', true, now() - interval '8 days'),
       ($1, 'customers', '["late"]', '0/1', 'acme', true, now())`,
    [current],
  );
  const kept = async () => {
    const { rows } = await world.pool.query<{ key: string }>(
      `select key from tandem.routes where generation = 0 or key in ('["gone"]', '["late"]')`,
    );
    return rows.map(({ key }) => key);
  };
  const control = createControlPool(world.url, silentLog, { applicationName: 'test sweep' });
  onTestFinished(() => control.end());
  expect(await sweepGenerations(control, current)).toBe(false);
  expect(await sweepRoutes(control, current, parseLsn('0/2'))).toBe(false);
  expect(await kept()).toEqual(['["late"]']);
});

test('a record that moves often keeps no route that a later old one replaces', async () => {
  await parents.start();
  await world.endAll();
  const control = createControlPool(world.url, silentLog, { applicationName: 'test routes' });
  onTestFinished(() => control.end());
  const state = await takeRoutes(control, 'test');
  const { generation = '', completeTo: storedTo = 0n } = state ?? {};
  const old = ['0/0', '0/10', '0/20', '0/30'];
  await world.pool.query(
    `insert into tandem.routes (generation, resource, key, since_lsn, owner, is_deleted, written_at)
     select $1, 'customers', '["often"]', lsn, 'acme', false, now() - interval '8 days' from unnest($2::pg_lsn[]) lsn`,
    [generation, old],
  );
  const route = {
    resource: 'customers',
    key: '["often"]',
    owner: 'globex',
    isDeleted: false,
    referredBy: [],
  };
  const additions = { routes: [{ ...route, sinceLsn: storedTo }], references: [], commits: [] };
  const writer = { owner: 'test', generation, storedTo, passedLsn: parseLsn('0/25') };
  await addRoutes(control, writer, additions, storedTo);
  const { rows } = await world.pool.query<{ lsn: string }>(
    `select since_lsn::text as lsn from tandem.routes where key = '["often"]' order by since_lsn`,
  );
  expect(rows.map(({ lsn }) => lsn)).toEqual(['0/20', '0/30', formatLsn(storedTo)]);
});

test('commits are kept for an hour, and as long as an export may ask for them', async () => {
  await parents.start();
  const current = String(await parents.generation());
  await world.pool.query(
    `insert into tandem.route_commits (generation, commit_lsn, xid, has_routes, has_references, written_at)
     select $1, c.lsn, '1', true, false, now() - c.age
     from (values ('0/1'::pg_lsn, interval '2 hours'), ('0/2', '2 hours'), ('0/3', '1 minute')) c (lsn, age)`,
    [current],
  );
  await world.pool.query(`insert into tandem.exports (id, request, resources, status, phase, start_lsn)
    values ('exp_commits', '{}', '{}', 'running', 'extracting', '0/2')`);
  onTestFinished(() =>
    world.pool.query(`delete from tandem.exports where id = 'exp_commits'`).then(() => undefined),
  );
  const control = createControlPool(world.url, silentLog, { applicationName: 'test sweep' });
  onTestFinished(() => control.end());
  const kept = async () => {
    expect(await sweepRoutes(control, current, parseLsn('0/5'))).toBe(false);
    const { rows } = await world.pool.query<{ lsn: string }>(
      `select commit_lsn::text as lsn from tandem.route_commits where commit_lsn < '0/9' order by commit_lsn`,
    );
    return rows.map(({ lsn }) => lsn);
  };
  expect(await kept()).toEqual(['0/2', '0/3']);
  await world.pool.query(`update tandem.exports set status = 'completed' where id = 'exp_commits'`);
  expect(await kept()).toEqual(['0/3']);
});
