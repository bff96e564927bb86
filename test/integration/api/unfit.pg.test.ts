import { afterAll, beforeAll, expect, test } from 'vitest';
import { LEDGER_DDL } from '../../../shared/bulk/ledger.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { openTestApi, type TestApi } from '../../support/api-server.ts';
import { createDashboardVisitor } from '../../support/dashboard.ts';
import { waitFor } from '../../support/wait-for.ts';

const CHANGE = 'operations: { update: { set_from_params: [body] } }';
const CATALOG = parseCatalog(
  `catalog: shop
resources:
  orders: { table: shop.orders, event: order, key: [id], account: account_id, related: [notes], ${CHANGE} }
  notes: { table: shop.notes, event: note, key: [id], account: account_id, ${CHANGE} }
  lines: { table: shop.lines, event: line, key: [id], account: { via: note_id } }
  gone: { table: shop.gone, event: gone, key: [id], account: account_id }
`,
  'shop.yaml',
);

let api: TestApi;
let account: { id: string; key: string; sourceId: string };
beforeAll(async () => {
  api = await openTestApi({ catalog: CATALOG });
  await api.pool.query(`
    create schema shop;
    create table shop.orders (id bigint primary key, account_id text not null, body text);
    create table shop.notes (id bigint not null, account_id text not null, body text);
    create table shop.lines (id bigint primary key, note_id bigint not null)`);
  for (const statement of LEDGER_DDL) await api.pool.query(statement);
  account = await api.account();
});
afterAll(() => api[Symbol.asyncDispose]());

const post = (path: string, body: unknown) => api.call('POST', path, { key: account.key, body });
const errorsOf = async (body: unknown) => {
  const { status, json } = await post('/exports', body);
  expect(status).toBe(409);
  return json.errors;
};
const NO_KEY = 'notes cannot be exported or changed: its records have no unique key (no_key)';

test('a resource whose table does not fit is refused with the request, and the others go on', async () => {
  expect(await errorsOf({ resource: 'notes' })).toEqual([{ pointer: '/resource', detail: NO_KEY }]);
  expect(await errorsOf({ resource: 'notes', dry_run: true })).toHaveLength(1);
  expect(await errorsOf({ resources: ['orders', 'lines', 'gone'] })).toEqual([
    {
      pointer: '/resources/1',
      detail: 'lines cannot be exported or changed: the accounts of its records are ambiguous (account_path)',
    },
    {
      pointer: '/resources/2',
      detail: 'gone cannot be exported or changed: its table does not exist (missing_table)',
    },
  ]);
  expect(await errorsOf({ resource: 'orders', include_related: true })).toEqual([
    { pointer: '/include_related', detail: NO_KEY },
  ]);
  const bulk = { operation: 'update', ids: [1], params: { body: 'x' } };
  for (const more of [{}, { async: true }, { dry_run: true }]) {
    const { status, json } = await post('/bulk/operations', { ...bulk, ...more, resource: 'notes' });
    expect(status).toBe(409);
    expect(json.errors).toEqual([{ pointer: '/resource', detail: NO_KEY }]);
  }
  expect((await post('/exports', { resource: 'orders' })).status).toBe(202);
  expect((await post('/bulk/operations', { ...bulk, resource: 'orders' })).status).toBe(200);
});

test('the list of resources and the pages say it too', async () => {
  const list = async () => (await api.call('GET', '/resources', { key: account.key })).json.data;
  const unfit = Object.fromEntries(
    (await list()).map((each: { name: string; unfit: unknown }) => [each.name, each.unfit]),
  );
  expect(unfit).toEqual({
    orders: null,
    notes: { code: 'no_key', detail: 'its records have no unique key' },
    lines: { code: 'account_path', detail: 'the accounts of its records are ambiguous' },
    gone: { code: 'missing_table', detail: 'its table does not exist' },
  });
  const visitor = createDashboardVisitor(api);
  const cookie = await visitor.open(account);
  const form = await visitor.show('/dashboard/exports/new', cookie);
  expect(form.text).toMatch(/value="notes" disabled/);
  expect(form.text).toMatch(/value="orders">/);
  const choices = await visitor.show('/dashboard/bulk/new', cookie);
  expect(choices.text).toContain('new/orders/update');
  expect(choices.text).not.toContain('new/notes/update');
  expect(choices.text).toContain('(no_key)');
});

test('a mended table is let in at once, and one that no longer fits is noticed after half a minute', async () => {
  await api.pool.query('alter table shop.notes add primary key (id)');
  expect((await post('/exports', { resource: 'notes' })).status).toBe(202);
  await api.pool.query('alter table shop.notes drop constraint notes_pkey');
  api.clock.nowMs = Date.now() + 31_000;
  const estimate = () => post('/exports', { resource: 'notes', dry_run: true });
  await waitFor('the next check', async () => (await estimate()).status === 409);
  expect(await errorsOf({ resource: 'notes' })).toHaveLength(1);
});
