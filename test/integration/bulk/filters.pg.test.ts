import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

test('a value that is refused costs no connection to the source', async () => {
  const { key } = await world.account(1);
  const connections = async () =>
    (
      await world.api.pool.query<{ pid: number }>(
        `select pid from pg_stat_activity where application_name = 'test bulk' and datname = current_database() order by pid`,
      )
    ).rows;
  const filters = [
    { id: { eq: 'x' } },
    { id: { in: Array(200).fill('99999999999999999999') } },
    { created_at: { gt: '2026-02-31T00:00:00Z' } },
    { tax: { gt: 'NaNsense' } },
  ];
  const submit = (filter: object) =>
    world.submit(key, { resource: 'invoices', operation: 'void', dry_run: true, filter });
  await submit({ id: { eq: 1 } });
  const before = await connections();
  expect(before.length).toBeGreaterThan(0);
  for (const filter of filters) {
    for (let again = 0; again < 3; again += 1) expect((await submit(filter)).status).toBe(422);
  }
  expect(await connections()).toEqual(before);
});

test('a filter that matches everything needs all: true', async () => {
  const { key, ids } = await world.account(2);
  for (const filter of [{}, { and: [{}] }, { or: [{}, { id: { eq: 1 } }] }]) {
    const refused = await world.submit(key, { resource: 'invoices', operation: 'delete', filter });
    expect(refused).toMatchObject({ status: 422, json: { errors: [{ pointer: '/filter' }] } });
  }
  const done = await world.submit(key, { resource: 'invoices', operation: 'delete', filter: {}, all: true });
  expect(done.json.results.map((item: { item_id: string }) => item.item_id)).toEqual(ids);
});

test('values of a filter are never SQL: each is a typed error or a literal match', async () => {
  const { key, ids } = await world.account(3);
  const dryRun = (filter: unknown) =>
    world.submit(key, { resource: 'invoices', operation: 'void', filter, dry_run: true });
  for (const text of ["'; drop table documint.invoices; --", '"', '$1', "memo' or true", '{1,2}', '%']) {
    expect(await dryRun({ memo: { eq: text } })).toMatchObject({ status: 200, json: { estimated_items: 0 } });
    expect(await dryRun({ memo: { in: [text] } })).toMatchObject({ status: 200 });
    expect((await dryRun({ id: { eq: text } })).json.errors).toMatchObject([{ pointer: '/filter/id/eq' }]);
    expect((await dryRun({ [text]: { eq: 'x' } })).status).toBe(422);
  }
  for (const value of [['a'], { a: 1 }, null]) {
    expect((await dryRun({ memo: { eq: value } })).json.errors[0].pointer).toBe('/filter/memo/eq');
  }
  expect((await dryRun({ memo: { eq: 'x'.repeat(1_000_000) } })).json.estimated_items).toBe(0);
  expect((await dryRun({ memo: { eq: 'a\0b' } })).status).toBe(422);
  expect((await dryRun({ internal_notes: { eq: 'x' } })).status).toBe(422);
  expect((await dryRun({ metadata: { gt: '{' } })).status).toBe(422);
  expect((await dryRun({ issued_on: { prefix: '2026' } })).status).toBe(422);
  expect((await dryRun({ status: { like: 'o%' } })).json.errors[0].pointer).toBe('/filter/status/like');
  const many = Array.from({ length: 10_000 }, (_, index) => index + 1_000_000);
  expect(await dryRun({ id: { in: [...many.slice(1), ids[0]] } })).toMatchObject({
    json: { estimated_items: 1 },
  });
  const wrong = await dryRun({ issued_on: { in: [...Array(700).fill('2026-01-31'), '2026-02-30'] } });
  expect(wrong).toMatchObject({ status: 422, json: { errors: [{ pointer: '/filter/issued_on/in/700' }] } });
  let deep: unknown = { id: { eq: 1 } };
  for (let level = 0; level < 60; level += 1) deep = { and: [deep] };
  expect(await dryRun(deep)).toMatchObject({
    status: 422,
    json: { errors: [{ pointer: expect.stringMatching(/^.filter.and/) }] },
  });
  const matching = await dryRun({
    or: [
      { memo: { prefix: `memo ${ids[0]}` } },
      { and: [{ id: { in: [ids[1]] } }, { total: { gte: 0.5 } }] },
    ],
    currency: { ne: 'USDX' },
    deleted_at: { is_null: true },
  });
  expect(matching.json).toMatchObject({
    dry_run: true,
    sample: expect.arrayContaining([expect.objectContaining({ item_id: ids[1] })]),
  });
});

test('the beginning of a text is found as written also where the database takes texts for equal that differ', async () => {
  const { key, ids } = await world.account(2);
  const { pool } = world.api;
  await pool.query(`create collation any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    alter table documint.invoices alter column memo type text collate any_case`);
  await pool.query(`update documint.invoices set memo = 'Straße' where id = $1`, [ids[0]]);
  await pool.query(`update documint.invoices set memo = 'STRASSE' where id = $1`, [ids[1]]);
  const found = async (memo: unknown) => {
    const asked = { resource: 'invoices', operation: 'void', filter: { memo }, dry_run: true };
    const { json } = await world.submit(key, asked);
    return json.sample?.map(({ item_id: id }: { item_id: string }) => id) ?? json;
  };
  expect(await found({ prefix: 'Stra' })).toEqual([ids[0]]);
  expect(await found({ prefix: 'STRA' })).toEqual([ids[1]]);
  expect(await found({ eq: 'straße' })).toEqual([ids[0]]);
  await pool.query('alter table documint.invoices alter column memo type text collate "default"');
});

test('an estimate shows the first records as files have them, to whoever may read them', async () => {
  const { id, key, ids } = await world.account(3);
  const [first = '', long = ''] = ids;
  await world.api.pool.query(
    `update documint.invoices set total = '7654321.10', internal_notes = 'ours' where id = $1`,
    [first],
  );
  // Its stored form is short, since it is compressed.
  await world.api.pool.query(`update documint.invoices set memo = repeat('x', 5000) where id = $1`, [long]);
  const body = { resource: 'invoices', operation: 'void', dry_run: true };
  const byFilter = await world.submit(key, { ...body, filter: { id: { in: [first, long] } } });
  const [shown, cut] = byFilter.json.sample;
  expect(shown.item_id).toBe(first);
  expect(byFilter.text).toContain('7654321.10');
  expect(shown.record).toMatchObject({
    id: Number(first),
    status: 'open',
    currency: 'EUR',
    deleted_at: null,
  });
  expect(shown.record).not.toHaveProperty('internal_notes');
  expect([Object.hasOwn(shown.record, 'memo'), Object.hasOwn(cut.record, 'memo')]).toEqual([true, false]);
  const other = await world.account(1);
  const byIds = await world.submit(key, { ...body, ids: [long, other.ids[0], first, 'x'] });
  expect(byIds.json.sample).toMatchObject([
    { item_id: long, record: {} },
    {},
    { item_id: first, record: {} },
  ]);
  expect(byIds.json.sample[1]).toEqual({ item_id: other.ids[0] });
  const made = await world.api.call('POST', `/admin/accounts/${id}/keys`, {
    key: ADMIN_KEY,
    body: { scopes: ['bulk:write'] },
  });
  const blind = await world.submit(made.json.key, { ...body, filter: { id: { eq: first } } });
  expect(blind.json.sample).toEqual([{ item_id: first }]);
});

test('what the catalog keeps back is not found, neither by its ID nor by any filter', async () => {
  const catalog = await loadCatalog('schemas/catalogs/documint.yaml');
  const where = parseFilter({ status: { ne: 'draft' } });
  const resources = catalog.resources.map((each) => (each.name === 'invoices' ? { ...each, where } : each));
  await using other = await openBulkWorld({ catalog: { ...catalog, resources } });
  const { key, ids } = await other.account(3);
  const [a = '', b = '', c = ''] = ids;
  await other.api.pool.query("update documint.invoices set status = 'draft' where id = $1", [b]);
  const update = { resource: 'invoices', operation: 'update', params: { memo: 'seen' } };
  const byId = await other.submit(key, { ...update, ids: [a, b] });
  expect(byId.json.results).toMatchObject([{ status: 'succeeded' }, { status: 'failed', code: 'not_found' }]);
  const dry = await other.submit(key, { ...update, filter: {}, all: true, dry_run: true });
  expect(dry.json).toMatchObject({ estimated_items: 2, sample: [{ item_id: a }, { item_id: c }] });
  const byFilter = await other.submit(key, { ...update, filter: {}, all: true });
  expect(byFilter.json.results.map((item: { item_id: string }) => item.item_id)).toEqual([a, c]);
  const kept = await other.submit(key, { ...update, filter: { status: { eq: 'draft' } } });
  expect(kept.json).toMatchObject({ total: 0 });
  const { rows } = await other.api.pool.query('select memo from documint.invoices where id = $1', [b]);
  expect(rows).not.toEqual([{ memo: 'seen' }]);
});
