import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildBulk } from '../../../services/bulk/build.ts';
import { readBulkConfig } from '../../../services/bulk/config.ts';
import { LEDGER_DDL } from '../../../shared/bulk/ledger.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { openTestApi, type TestApi } from '../../support/api-server.ts';
import { startService } from '../../support/services.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Requests and descriptions speak of the catalog's fields. */

const CATALOG_YAML = `
catalog: shop
resources:
  deals:
    table: shop.deals
    event: deal
    key: [id]
    account: account_id
    range: created_at
    soft_delete: deleted_at
    fields:
      object: { value: deal }
      no: id
      status: { column: state, map: { 0: draft, 1: open, 2: won } }
      stage: { column: state, map: { 2: closed }, otherwise: running }
      type: { column: kind, map: { lead: prospect } }
      mark: { column: note, map: { x: marked } }
      is_large: { column: size, map: { 1: false }, otherwise: true }
      city: { column: data, path: [city], type: text }
      volume: { column: data, path: [box, size], type: json }
      total: total
      kept: kept
      openedAt: created_at
      removedAt: deleted_at
    operations:
      update: { set_from_params: [state, total, note, kept] }
      win: { set: { state: 2, note: x, secret: s }, skip_when: { state: 2 } }
    sync_limit: 50
`;
const CATALOG = parseCatalog(CATALOG_YAML, 'shop.yaml');

let api: TestApi;
let account: { id: string; key: string; sourceId: string };
beforeAll(async () => {
  api = await openTestApi({ catalog: CATALOG });
  await api.pool.query(`
    create schema shop;
    create type shop.kind as enum ('lead', 'deal');
    create table shop.deals (
      id bigint primary key, account_id text not null, state int, kind shop.kind, note text, size int, data jsonb, secret text, kept text,
      total numeric(12,2), created_at timestamptz not null default '2026-01-31 09:30:00+00', deleted_at timestamptz);
    alter table shop.deals replica identity full`);
  for (const statement of LEDGER_DDL) await api.pool.query(statement);
  account = await api.account();
});
afterAll(() => api[Symbol.asyncDispose]());

async function fill(): Promise<void> {
  await api.pool.query('truncate shop.deals');
  await api.pool.query(
    `insert into shop.deals (id, account_id, state, kind, note, size, data, total) values
       (1, $1, 0, 'lead', 'x', 1, '{"city": "Bern"}', 1.10), (2, $1, 1, 'deal', 'y', 2, null, 2), (3, $1, 1, null, 'marked', null, null, 3),
       (4, $1, 7, 'lead', null, 1, null, 4), (5, $1, null, 'deal', 'x', 1, null, 5), (6, 'other', 1, 'lead', 'x', 1, null, 6)`,
    [account.sourceId],
  );
}

const submit = (body: Record<string, unknown>) =>
  api.call('POST', '/bulk/operations', { key: account.key, body: { resource: 'deals', ...body } });

async function found(filter: Record<string, unknown>): Promise<string[]> {
  const { json } = await submit({ operation: 'win', dry_run: true, filter });
  return json.sample?.map(({ item_id }: { item_id: string }) => item_id) ?? json.errors;
}

test('a resource and its events are described by their fields', async () => {
  const { json } = await api.call('GET', '/resources/deals', { key: account.key });
  expect(json).toMatchObject({
    key: ['no'],
    soft_delete: 'removedAt',
    exports: { date_range: { default_field: 'openedAt', fields: ['openedAt', 'removedAt'] } },
    example: {
      object: 'deal',
      no: 1001,
      status: 'draft',
      stage: 'closed',
      type: 'prospect',
      mark: 'marked',
      is_large: false,
      city: 'text',
      total: '12.50',
      openedAt: '2026-01-31T09:30:00.123456Z',
      removedAt: null,
    },
  });
  const some = json.fields.map((field: Record<string, unknown>) => [
    field.name,
    field.type,
    field.nullable,
    field.is_key,
    field.values,
    field.filters,
  ]);
  const named = ['eq', 'ne', 'in', 'is_null'];
  expect(some.slice(0, 8)).toEqual([
    ['object', 'text', false, false, ['deal'], []],
    ['no', 'bigint', false, true, null, ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'is_null']],
    ['status', 'text', true, false, null, named],
    ['stage', 'text', true, false, ['closed', 'running'], named],
    ['type', 'text', true, false, ['prospect', 'deal'], named],
    ['mark', 'text', true, false, null, named],
    ['is_large', 'boolean', true, false, null, named],
    ['city', 'text', true, false, null, ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'prefix', 'is_null']],
  ]);
  const [update, win] = json.operations;
  expect(update.params).toMatchObject([
    { name: 'status', json_type: 'string', values: ['draft', 'open', 'won'], nullable: true },
    { name: 'total', json_type: 'string', format: 'decimal' },
    { name: 'mark', values: ['marked'] },
    { name: 'kept', json_type: 'string' },
  ]);
  expect(win.sets).toEqual([
    { name: 'status', value: 'won' },
    { name: 'stage', value: 'closed' },
    { name: 'mark', value: 'marked' },
  ]);
  const types = (await api.call('GET', '/event-types', { key: account.key })).json;
  expect(types.data[1]).toMatchObject({
    type: 'deal.updated',
    example: { key: { no: 1001 }, data: json.example },
  });
  const deals = types.data.filter(({ resource }: { resource: string | null }) => resource === 'deals');
  expect(JSON.stringify([json, deals])).not.toMatch(
    /secret|"state|account_id":"source|deleted_at|created_at/,
  );
});

test('filters hold for what customers see, and say which fields and values there are', async () => {
  await fill();
  expect(await found({ status: { eq: 'open' } })).toEqual(['2', '3']);
  expect(await found({ status: { in: ['draft', '7'] } })).toEqual(['1', '4']);
  expect(await found({ status: { ne: 'open' } })).toEqual(['1', '4', '5']);
  expect(await found({ status: { is_null: true } })).toEqual(['5']);
  expect(await found({ stage: { eq: 'running' } })).toEqual(['1', '2', '3', '4']);
  expect(await found({ stage: { ne: 'running' } })).toEqual(['5']);
  expect(await found({ type: { eq: 'prospect' } })).toEqual(['1', '4']);
  expect(await found({ type: { eq: 'deal' } })).toEqual(['2', '5']);
  expect(await found({ mark: { eq: 'marked' } })).toEqual(['1', '3', '5']);
  expect(await found({ is_large: { eq: true } })).toEqual(['2']);
  expect(await found({ no: { gte: 4 }, total: { lt: '5' } })).toEqual(['4']);
  const fault = (pointer: string, detail: unknown) => [{ pointer: `/filter/${pointer}`, detail }];
  expect(await found({ state: { eq: 1 } })).toEqual(fault('state', 'deals has no field "state"'));
  expect(await found({ status: { eq: 'opne' } })).toEqual(
    fault('status/eq', 'is not a value of the field, which are "draft", "open", "won"'),
  );
  expect(await found({ status: { gt: 'draft' } })).toEqual(
    fault('status/gt', expect.stringContaining('eq, ne, in')),
  );
  expect(await found({ type: { eq: 'none' } })).toEqual(fault('type/eq', 'is not of type shop.kind'));
  expect(await found({ object: { eq: 'deal' } })).toEqual(
    fault('object', expect.stringContaining('the same value')),
  );
  expect(await found({ secret: { is_null: true } })).toEqual(fault('secret', 'deals has no field "secret"'));
});

test('filters on members of documents hold for the values that files show, and only for those of the type asked for', async () => {
  await fill();
  const documents = {
    1: '{"city": "Bern", "box": {"size": 10}}',
    2: '{"city": 7, "box": {"size": "10"}}',
    3: '{"city": null, "box": {"size": null}}',
    4: '{"box": [{"size": 10}]}',
    5: '{"city": "Basel", "box": {"size": 9.50}}',
  };
  for (const [id, data] of Object.entries(documents))
    await api.pool.query('update shop.deals set data = $2 where id = $1', [id, data]);
  expect(await found({ city: { eq: 'Bern' } })).toEqual(['1']);
  expect(await found({ city: { in: ['Bern', '7'] } })).toEqual(['1', '2']);
  expect(await found({ city: { prefix: 'B' } })).toEqual(['1', '5']);
  expect(await found({ city: { ne: 'Bern' } })).toEqual(['2', '3', '4', '5']);
  expect(await found({ city: { is_null: true } })).toEqual(['3', '4']);
  expect(await found({ city: { gte: 'Bb' } })).toEqual(['1']);
  expect(await found({ volume: { eq: 10 } })).toEqual(['1']);
  expect(await found({ volume: { eq: '"10"' } })).toEqual(['2']);
  expect(await found({ volume: { in: [10, 9.5] } })).toEqual(['1', '5']);
  expect(await found({ volume: { lt: 10 } })).toEqual(['5']);
  expect(await found({ volume: { gt: 0 } })).toEqual(['1', '5']);
  expect(await found({ volume: { is_null: true } })).toEqual(['3', '4']);
  expect(await found({ volume: { is_null: false } })).toEqual(['1', '2', '5']);
  expect(await found({ volume: { ne: 10 } })).toEqual(['2', '3', '4', '5']);
  const fault = (pointer: string, detail: string) => [{ pointer: `/filter/${pointer}`, detail }];
  expect(await found({ city: { eq: 7 } })).toEqual(fault('city/eq', 'must be a string'));
  expect(await found({ volume: { eq: 'ten' } })).toEqual(fault('volume/eq', 'is not of type jsonb'));
  expect(await found({ volume: { prefix: '1' } })).toEqual(fault('volume/prefix', 'is for text fields only'));
  const range = { from: '2026-01-01T00:00:00Z', field: 'city' };
  const { status, json } = await api.call('POST', '/exports', {
    key: account.key,
    body: { resource: 'deals', date_range: range },
  });
  expect(status).toBe(422);
  expect(json.errors[0]).toEqual({
    pointer: '/date_range/field',
    detail: 'deals has no date or timestamp column "city", which is a member of a document',
  });
  const live = { async: true, semantics: 'live', filter: { city: { eq: 'Bern' } } };
  const job = (await submit({ operation: 'win', ...live })).json;
  expect(await workUnder(job.job_id, '', '')).toMatchObject({ status: 'completed', succeeded: 1 });
});

test('parameters and samples have the public names and values', async () => {
  await fill();
  const sample = await submit({
    operation: 'update',
    params: { status: 'won' },
    dry_run: true,
    ids: ['1', '4'],
  });
  expect(sample.json.sample).toEqual([
    {
      item_id: '1',
      record: {
        object: 'deal',
        no: 1,
        status: 'draft',
        stage: 'running',
        type: 'prospect',
        mark: 'marked',
        is_large: false,
        city: 'Bern',
        volume: null,
        total: '1.10',
        kept: null,
        openedAt: '2026-01-31T09:30:00Z',
        removedAt: null,
      },
    },
    { item_id: '4', record: expect.objectContaining({ no: 4, status: '7', mark: null }) },
  ]);
  const done = await submit({
    operation: 'update',
    params: { status: 'won', total: '9.90' },
    filter: { status: { eq: 'open' } },
  });
  expect(done.json).toMatchObject({ succeeded: 2, failed: 0 });
  const { rows } = await api.pool.query(
    'select id::int, state, total from shop.deals where state = 2 order by id',
  );
  expect(rows).toEqual([
    { id: 2, state: 2, total: '9.90' },
    { id: 3, state: 2, total: '9.90' },
  ]);
  const nothing = await submit({ operation: 'update', params: { status: null }, ids: ['2'] });
  expect(nothing.json).toMatchObject({ succeeded: 1 });
  expect((await api.pool.query('select state from shop.deals where id = 2')).rows).toEqual([{ state: null }]);
  const fault = async (params: Record<string, unknown>) =>
    (await submit({ operation: 'update', params, ids: ['1'] })).json.errors;
  expect(await fault({ state: 1 })).toEqual([
    {
      pointer: '/params/state',
      detail: 'is not a parameter of the operation; its parameters: status, total, mark, kept',
    },
  ]);
  expect(await fault({ status: 'opne' })).toEqual([
    { pointer: '/params/status', detail: 'must be one of "draft", "open", "won"' },
  ]);
  const upload = await fetch(`${api.url}/bulk/files?resource=deals`, {
    method: 'POST',
    headers: { authorization: `Bearer ${account.key}`, 'content-type': 'text/plain' },
    body: 'no\n1\n2\n',
  });
  expect(await upload.json()).toMatchObject({ items: 2, header: 'no' });
});

/** Works on what is queued by a catalog in which one text is another, until the job ends. */
async function workUnder(jobId: string, before: string, after: string) {
  const path = join(temporaryDirectory(), 'catalog.yaml');
  await writeFile(path, CATALOG_YAML.replace(before, after));
  const config = readBulkConfig({
    ...{ DATABASE_URL: api.databaseUrl, STORAGE_URL: api.storageUrl, CATALOG: path },
  });
  await using _worker = await startService((context) => buildBulk(config, context));
  return await waitFor('the job has ended', async () => {
    const { json } = await api.call('GET', `/bulk/operations/${jobId}`, { key: account.key });
    return ['completed', 'failed'].includes(json.status) ? json : undefined;
  });
}

test('a queued job fails when its names mean something else to the catalog of its worker, and changes nothing', async () => {
  await fill();
  const rows = async () =>
    (await api.pool.query('select id, state, note, kind, total from shop.deals order by id')).rows;
  const before = await rows();
  const queue = async (
    params: Record<string, unknown>,
    selection: Record<string, unknown> = { ids: ['1'] },
  ) => (await submit({ operation: 'update', params, ...selection, async: true })).json.job_id;
  const type = 'type: { column: kind, map: { lead: prospect } }';
  const changes = [
    [() => queue({ status: 'won' }), '2: won }', '2: sold }'],
    [() => queue({ mark: 'marked' }), 'mark: { column: note, map: { x: marked } }', 'mark: note'],
    [() => queue({ kept: 'x' }), 'kept: kept', 'kept: { column: kept, map: { y: x } }'],
    [() => queue({ total: '1', status: 'won' }), '      total: total', '      amount: total'],
    [() => queue({ total: '1' }, { filter: { type: { eq: 'deal' } } }), type, 'type: kind'],
  ] as const;
  for (const [queueIt, from, to] of changes) {
    const job = await workUnder(await queueIt(), from, to);
    expect([to, job.status, job.error?.code, job.succeeded]).toEqual([to, 'failed', 'fields_changed', 0]);
  }
  expect(await rows()).toEqual(before);
  const same = await workUnder(await queue({ status: 'won' }), '0: draft', '0: sketch');
  expect(same).toMatchObject({ status: 'completed', succeeded: 1 });
});

test('a column that is renamed before the catalog is known keeps bulk requests waiting', async () => {
  await api.pool.query('alter table shop.deals rename column note to remark');
  const { status, headers } = await submit({ operation: 'win', ids: ['1'] });
  expect([status, headers.get('retry-after')]).toEqual([503, '5']);
  await api.pool.query('alter table shop.deals rename column remark to note');
});

test('exports take fields and ranges by their public names, and are shown with them', async () => {
  const create = (body: Record<string, unknown>) =>
    api.call('POST', '/exports', { key: account.key, body: { resource: 'deals', ...body } });
  const range = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z' };
  const { json } = await create({ fields: ['city', 'status'], date_range: range });
  expect(json).toMatchObject({
    fields: ['no', 'status', 'city'],
    date_range: { ...range, field: 'openedAt' },
  });
  expect((await create({ date_range: { ...range, field: 'openedAt' }, dry_run: true })).status).toBe(200);
  expect((await create({ fields: ['state'] })).json.errors).toEqual([
    { pointer: '/fields/0', detail: 'deals has no field "state"' },
  ]);
  expect((await create({ date_range: { ...range, field: 'created_at' } })).json.errors).toEqual([
    { pointer: '/date_range/field', detail: 'deals has no date or timestamp column "created_at"' },
  ]);
});
