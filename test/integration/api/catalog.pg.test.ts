import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSourceFacts } from '../../../services/api/admin/source-facts.ts';
import { eventSchemas } from '../../../services/api/events/event-schemas.ts';
import { createEventRenderer } from '../../../services/dispatcher/record/render-event.ts';
import { describeRowType } from '../../../shared/catalog/describe-table.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { findResource } from '../../../shared/domain/catalog.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';

const CATALOG = parseCatalog(
  `
catalog: shop
resources:
  things:
    table: shop.things
    event: thing
    key: [id, line]
    account: account_id
    range: created_at
    soft_delete: deleted_at
    hide: [secret]
    related: [makers]
    as_of: true
    operations:
      archive: { set: { mood: sad } }
      update: { set_from_params: [mood, price, code] }
      remove: { soft: true }
      render: { http: { url: "http://127.0.0.1:9/render" } }
    sync_limit: 7
  makers:
    table: shop.makers
    event: maker
    key: [id]
    account: account_id
    related: [things]
  gone:
    table: shop.gone
    event: ghost
    key: [id]
    account: account_id
  parts:
    table: shop.parts
    event: part
    key: [id]
    account: { via: maker_id, to: makers }
`,
  'shop.yaml',
);

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await openTestApi({ catalog: CATALOG });
  await api.pool.query(`
    create schema shop;
    create type shop.mood as enum ('glad', 'sad');
    create type shop.pair as (a int, b text);
    create domain shop.positive as int check (value > 0);
    create table shop.things (
      id bigint, line int not null, account_id text not null, mood shop.mood not null default 'glad', price numeric(10,2), code char(3),
      title varchar(40), flag boolean, ratio float8, raw bytea, uid uuid, born date, seen timestamp, created_at timestamptz not null,
      at_time time, doc jsonb, plain json, tags text[], numbers int[], moods shop.mood[], pair shop.pair, span int4range, net inet,
      spot point, page xml, amount shop.positive, cost money, secret text, deleted_at timestamptz,
      total int generated always as (line * 2) stored, primary key (id, line));
    alter table shop.things replica identity full;
    create table shop.makers (id json not null, account_id text);
    create table shop.parts (id bigint primary key, maker_id json);
    alter table shop.parts replica identity full`);
  key = (await api.account(['exports:write', 'bulk:write'])).key;
});
afterAll(() => api[Symbol.asyncDispose]());

interface Field {
  name: string;
  json_type: string;
  filters: string[];
}

const get = (path: string, by = key) => api.call('GET', path, { key: by });
const things = async () => (await get('/resources/things')).json;

test('a resource is described by its table, as far as it leaves', async () => {
  const { json, status } = await get('/resources');
  expect(status).toBe(200);
  expect(json).toMatchObject({ has_more: false, next_cursor: null });
  expect(json.data.map(({ name }: { name: string }) => name)).toEqual(['things', 'makers', 'gone', 'parts']);
  const [shown] = json.data;
  expect(await things()).toEqual(shown);
  expect(JSON.stringify(json)).not.toContain('secret');
  const field = (name: string) => shown.fields.find((each: Field) => each.name === name);
  expect(field('id')).toMatchObject({ type: 'bigint', json_type: 'integer', nullable: false, is_key: true });
  expect(field('mood')).toMatchObject({
    type: 'shop.mood',
    json_type: 'string',
    values: ['glad', 'sad'],
    nullable: false,
  });
  expect(field('price')).toMatchObject({
    type: 'numeric(10,2)',
    json_type: 'string',
    format: 'decimal',
    nullable: true,
  });
  expect(field('title')).toMatchObject({ json_type: 'string', format: null, max_length: 40, values: null });
  expect(field('seen')).toMatchObject({ format: 'local-date-time' });
  expect(field('tags')).toMatchObject({ json_type: 'array' });
  expect(field('doc')).toMatchObject({ json_type: 'any' });
  expect(field('pair')).toMatchObject({ json_type: 'object', filters: ['is_null'] });
  expect(field('amount')).toMatchObject({ type: 'shop.positive', json_type: 'integer' });
  expect(field('total')).toBeUndefined();
  expect(shown).toMatchObject({
    key: ['id', 'line'],
    soft_delete: 'deleted_at',
    related: ['makers'],
    selectable_by_ids: true,
    max_sync_items: 7,
    event_types: ['thing.created', 'thing.updated', 'thing.deleted'],
    exports: {
      formats: ['jsonl', 'csv', 'parquet'],
      include_deleted: true,
      include_related: ['makers'],
      changes_since: true,
      as_of: true,
      date_range: { default_field: 'created_at', fields: ['born', 'seen', 'created_at', 'deleted_at'] },
    },
    operations: [
      {
        name: 'archive',
        kind: 'update',
        params: [],
        sets: [{ name: 'mood', value: 'sad' }],
        takes_any_params: false,
      },
      {
        name: 'update',
        kind: 'update',
        params: [
          { name: 'mood', values: ['glad', 'sad'], nullable: false },
          { name: 'price', format: 'decimal' },
          { name: 'code', max_length: 3 },
        ],
      },
      { name: 'remove', kind: 'delete', params: [] },
      { name: 'render', kind: 'handler', params: [], takes_any_params: true },
    ],
  });
  expect(shown.example).toMatchObject({
    id: 1001,
    mood: 'glad',
    price: '12.50',
    code: 'tex',
    raw: 'dGV4dA==',
    deleted_at: null,
  });
  expect(shown.example).toMatchObject({
    created_at: '2026-01-31T09:30:00.123456Z',
    tags: ['text'],
    moods: ['glad'],
    numbers: [42],
  });
  expect(Object.keys(shown.example)).toEqual(shown.fields.map(({ name }: Field) => name));
  const typeOf = (value: unknown) =>
    Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  for (const { name, json_type: type } of shown.fields as Field[]) {
    const value = shown.example[name];
    if (value !== null && type !== 'any') expect(`${name}: ${typeOf(value)}`).toBe(`${name}: ${type}`);
  }
});

test('a resource shows what is not possible: keys that no event leads to, no dates, no operations, no table', async () => {
  expect((await get('/resources/makers')).json).toMatchObject({
    selectable_by_ids: false,
    soft_delete: null,
    operations: [],
    exports: {
      include_deleted: false,
      include_related: ['things'],
      changes_since: false,
      as_of: false,
      date_range: { default_field: null, fields: [] },
    },
  });
  expect((await get('/resources/gone')).json).toMatchObject({
    fields: [],
    example: {},
    exports: { as_of: false },
  });
  expect((await get('/resources/nothing')).status).toBe(404);
});

test('a resource with the account of another shows no past, although its old rows are in the WAL: as_of is refused', async () => {
  expect((await get('/resources/parts')).json.exports).toMatchObject({ changes_since: true, as_of: false });
  const facts = createSourceFacts(CATALOG, { source: api.pool, log: silentLog, now: Date.now });
  await expect(facts.requireOldRows(['parts'])).rejects.toMatchObject({ code: 'invalid' });
  await facts.requireOldRows(['things']);
});

test('a filter may have exactly the conditions that are listed, and a date range exactly those fields', async () => {
  const { fields, example, exports } = await things();
  const ask = async (filter: unknown) => {
    const body = { resource: 'things', operation: 'archive', filter, dry_run: true };
    return (await api.call('POST', '/bulk/operations', { key, body })).status;
  };
  const operators = ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'prefix', 'is_null'];
  const differing: string[] = [];
  for (const { name, json_type: type, filters } of fields as Field[]) {
    const given = example[name] ?? '2026-01-31T09:30:00Z';
    const value = type === 'array' ? '{}' : typeof given === 'object' ? JSON.stringify(given) : given;
    const condition = (operator: string) => ({
      [operator]: operator === 'is_null' ? true : operator === 'in' ? [value] : value,
    });
    const listed = Object.assign({}, ...filters.map(condition));
    if ((await ask({ [name]: listed })) !== 200) differing.push(`${name}: not all of ${filters}`);
    // A composite can be compared when its attributes can, which is not offered.
    const others = type === 'object' ? [] : operators.filter((operator) => !filters.includes(operator));
    for (const operator of others) {
      if ((await ask({ [name]: condition(operator) })) !== 422) differing.push(`${name}: ${operator} too`);
    }
  }
  expect(differing).toEqual([]);
  expect(await ask({ secret: { is_null: true } })).toBe(422);
  for (const { name } of fields as Field[]) {
    const body = {
      resource: 'things',
      date_range: { from: '2026-01-01T00:00:00Z', field: name },
      dry_run: true,
    };
    const { status } = await api.call('POST', '/exports', { key, body });
    expect(`${name}: ${status === 200}`).toBe(`${name}: ${exports.date_range.fields.includes(name)}`);
  }
});

test('every key may ask, the operator for an account or none, and lists are read a page at a time', async () => {
  const { id } = await api.account();
  for (const path of ['/resources', '/resources/things', '/event-types']) {
    const asked = await get(path);
    expect(asked.status).toBe(200);
    for (const query of ['', `?account_id=${id}`, '?account_id=*']) {
      expect((await get(`${path}${query}`, ADMIN_KEY)).text).toBe(asked.text);
    }
    expect((await get(`${path}?account_id=${id}`)).status).toBe(422);
    expect((await api.call('GET', path)).status).toBe(401);
  }
  for (const [path, length] of [
    ['/resources', 4],
    ['/event-types', 21],
  ] as const) {
    const all = (await get(path)).json.data;
    expect(all).toHaveLength(length);
    const first = (await get(`${path}?limit=2`)).json;
    const second = (await get(`${path}?limit=200&cursor=${first.next_cursor}`)).json;
    expect([...first.data, ...second.data]).toEqual(all);
    expect(second).toMatchObject({ has_more: false, next_cursor: null });
  }
  const { next_cursor: cursor } = (await get('/resources?limit=1')).json;
  expect((await get(`/event-types?cursor=${cursor}`)).status).toBe(422);
});

test('a table that was altered shows soon', async () => {
  await things();
  await api.pool.query('alter table shop.makers add column name text');
  api.clock.nowMs = Date.now() + 11_000;
  const { json } = await get('/resources/makers');
  api.clock.nowMs = undefined;
  expect(json.fields.map(({ name }: Field) => name)).toEqual(['id', 'account_id', 'name']);
});

test('an endpoint can subscribe to each event type and pattern, and gets bodies like the examples', async () => {
  const account = await api.account();
  const { data } = (await get('/event-types?limit=200', account.key)).json;
  const types: string[] = data.map(({ type }: { type: string }) => type);
  const patterns: string[] = data.map(({ pattern }: { pattern: string }) => pattern);
  const subscribe = (events: string[]) =>
    api.call('POST', '/webhooks', { key: account.key, body: { url: 'https://example.com/hook', events } });
  const created = await subscribe([...types, ...new Set(patterns), '*']);
  expect(created.status).toBe(201);
  expect((await subscribe(['webhook.test'])).status).toBe(422);
  const schemas = eventSchemas(CATALOG);
  expect(types).toEqual([...schemas.keys()].filter((type) => type !== 'webhook.test').sort(inOrderOf(types)));
  const examples = new Map<string, Record<string, unknown>>();
  for (const { type, example, description } of data) {
    // Of a table that is not there nothing is known.
    if (type.startsWith('ghost.')) expect(example).toBeNull();
    else expect(schemas.get(type)?.parse(example)).toEqual(example);
    expect(description).not.toBe(type);
    examples.set(type, example);
  }
  const form = (body: Record<string, unknown> | undefined) => ({
    members: Object.keys(body ?? {}),
    data: Object.keys((body?.data ?? {}) as object),
    key: Object.keys((body?.key ?? {}) as object),
  });

  // What the dispatcher makes of a change.
  const resource = findResource(CATALOG, 'things');
  if (resource === undefined) throw new Error('no resource');
  const rowType = await describeRowType(api.pool, resource, await loadTypes(api.pool));
  const row = rowType.columns.map(({ name }) => (name === 'id' ? '7' : name === 'line' ? '1' : null));
  const before = rowType.columns.map(({ name }, index) => (name === 'flag' ? 'false' : (row[index] ?? null)));
  const source = { lsn: 1n, commitLsn: 1n, xid: 9n, index: 0, committedAtMicros: 0n, bulkJobId: null };
  const change = { account: 'a', resource: 'things', unchanged: [], missing: [], source };
  const renderer = createEventRenderer(resource, rowType);
  for (const [type, rendered] of [
    ['thing.created', renderer.render({ ...change, op: 'insert', before: null, after: row })],
    ['thing.updated', renderer.render({ ...change, op: 'update', before, after: row })],
    ['thing.deleted', renderer.render({ ...change, op: 'delete', before: row, after: null })],
    ['feed.reset', renderer.renderReset({ ...change, op: 'truncate', before: null, after: null }, 'a')],
  ] as const) {
    const body = JSON.parse(`${rendered.payloadHead}a${rendered.payloadTail}`);
    expect(`${type}: ${JSON.stringify(form(body))}`).toBe(
      `${type}: ${JSON.stringify(form(examples.get(type)))}`,
    );
  }

  // What the control store writes.
  const { json: first } = await api.call('POST', '/exports', {
    key: account.key,
    body: { resource: 'things' },
  });
  const { json: second } = await api.call('POST', '/exports', {
    key: account.key,
    body: { resource: 'things' },
  });
  const end = (id: string, status: string) =>
    api.pool.query(`/* arranged */ update exports set status = $2, phase = 'done' where id = $1`, [
      id,
      status,
    ]);
  await end(first.id, 'completed');
  await end(second.id, 'failed');
  await api.pool.query('update exports set expiry_told_at = now() where id = $1', [first.id]);
  for (const [id, status] of [
    ['blk_1', 'completed'],
    ['blk_2', 'failed'],
  ]) {
    await api.pool.query(
      `insert into bulk_jobs (id, account_id, resource, operation, request, status, estimated) values ($1, $2, 'things', 'remove', '{}', 'running', 1)`,
      [id, account.id],
    );
    await api.pool.query(`/* arranged */ update bulk_jobs set status = $2 where id = $1`, [id, status]);
  }
  await api.pool.query(`update feed_stall set reason = 'not_moving', detail = 'x', since = now()`);
  await api.pool.query(`update feed_stall set reason = null, detail = null, since = null`);
  await api.pool.query(`/* arranged */ update webhooks set status = 'disabled' where account_id = $1`, [
    account.id,
  ]);
  const { rows } = await api.pool.query<{ type: string; payload: string }>(
    'select type, payload from account_events where account_id = $1 order by commit_lsn',
    [account.id],
  );
  const accountTypes = data.filter((each: { is_in_feed: boolean }) => !each.is_in_feed);
  expect(rows.map(({ type }) => type).sort()).toEqual(
    accountTypes.map(({ type }: { type: string }) => type).sort(),
  );
  for (const { type, payload } of rows) {
    expect(`${type}: ${JSON.stringify(form(JSON.parse(payload)))}`).toBe(
      `${type}: ${JSON.stringify(form(examples.get(type)))}`,
    );
  }
});

function inOrderOf(all: readonly string[]) {
  return (a: string, b: string) => all.indexOf(a) - all.indexOf(b);
}
