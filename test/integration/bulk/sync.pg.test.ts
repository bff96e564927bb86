import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const statusOf = async (ids: readonly string[]) => {
  const { rows } = await world.api.pool.query<{ status: string }>(
    'select status from documint.invoices where id = any ($1::bigint[]) order by id',
    [ids],
  );
  return rows.map(({ status }) => status);
};

test('without async, results of each item come at once and in the order of the request', async () => {
  const { key, ids } = await world.account(3);
  const [a = '', b = '', c = ''] = ids;
  const body = { resource: 'invoices', operation: 'void', ids: [c, 'x', a, Number(b), `0${a}`, '999999999'] };
  const { status, json } = await world.submit(key, body);
  expect(status).toBe(200);
  expect(json).toMatchObject({
    status: 'completed',
    processed: 6,
    succeeded: 3,
    failed: 2,
    skipped: 1,
    total: 6,
  });
  expect(json.results.map((item: Record<string, unknown>) => [item.item_id, item.status, item.code])).toEqual(
    [
      [c, 'succeeded', undefined],
      ['x', 'failed', 'invalid_id'],
      [a, 'succeeded', undefined],
      [b, 'succeeded', undefined],
      [a, 'skipped', 'duplicate'],
      ['999999999', 'failed', 'not_found'],
    ],
  );
  expect(await statusOf(ids)).toEqual(['void', 'void', 'void']);
});

test('what is so already is skipped, and what belongs to another account is not found', async () => {
  const mine = await world.account(1);
  const other = await world.account(1);
  const body = { resource: 'invoices', operation: 'void', ids: [...mine.ids, ...other.ids] };
  await world.submit(mine.key, body);
  const { json } = await world.submit(mine.key, body);
  expect(json.results).toMatchObject([
    { status: 'skipped', code: 'already_applied' },
    { status: 'failed', code: 'not_found' },
  ]);
  expect(await statusOf(other.ids)).toEqual(['open']);
});

test('one item over the cap is 422 and nothing is applied; the cap itself is 200', async () => {
  const { key, ids } = await world.account(1_001);
  const over = await world.submit(key, { resource: 'invoices', operation: 'void', ids });
  expect(over).toMatchObject({ status: 422, json: { errors: [{ pointer: '/ids' }] } });
  const byFilter = { resource: 'invoices', operation: 'void', filter: { status: { eq: 'open' } } };
  expect((await world.submit(key, byFilter)).json.errors[0].pointer).toBe('/filter');
  expect(new Set(await statusOf(ids))).toEqual(new Set(['open']));
  const all = await world.submit(key, { resource: 'invoices', operation: 'void', ids: ids.slice(1) });
  expect(all).toMatchObject({ status: 200, json: { succeeded: 1_000, total: 1_000 } });
  expect(await world.submit(key, byFilter)).toMatchObject({ status: 200, json: { succeeded: 1, total: 1 } });
});

test.each([500, 100, 50])(
  'a cap of %i is the catalog’s: one more is refused, the cap is done',
  async (cap) => {
    const sample = await loadCatalog('schemas/catalogs/documint.yaml');
    const catalog = {
      ...sample,
      resources: sample.resources.map((resource) => ({ ...resource, syncLimit: cap })),
    };
    await using capped = await openBulkWorld({ catalog });
    const { key, ids } = await capped.account(cap + 1);
    const body = { resource: 'invoices', operation: 'void' };
    expect((await capped.submit(key, { ...body, ids })).status).toBe(422);
    const done = await capped.submit(key, { ...body, ids: ids.slice(1) });
    expect(done).toMatchObject({ status: 200, json: { succeeded: cap } });
  },
);

test('a retry with the same key gets the first answer, also when that was lost after the change', async () => {
  const { key, ids } = await world.account(2);
  const body = { resource: 'invoices', operation: 'void', ids };
  const first = await world.submit(key, body, { 'idempotency-key': 'k' });
  const again = await world.submit(key, body, { 'idempotency-key': 'k' });
  expect(again.text).toBe(first.text);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect((await world.submit(key, { ...body, ids: ['1'] }, { 'idempotency-key': 'k' })).status).toBe(422);
});

test('a retry whose first answer was lost after the change changes nothing and gets the results of the first', async () => {
  const { key, ids } = await world.account(3);
  const filter = { id: { in: ids }, status: { eq: 'open' } };
  const requests = [
    { resource: 'invoices', operation: 'void', ids: ids.slice(0, 1) },
    { resource: 'invoices', operation: 'void', filter },
  ];
  // As if the api had died before it could keep its answer, and so before the ledger's rows were removed.
  await world.api.pool.query(`
    create function tandem.keep() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger keep before delete on tandem.bulk_ledger for each row execute function tandem.keep()`);
  for (const [index, body] of requests.entries()) {
    const headers = { 'idempotency-key': `lost ${index}` };
    const first = await world.submit(key, body, headers);
    await world.api.pool.query('delete from idempotency_keys');
    const again = await world.submit(key, body, headers);
    expect(again.headers.has('idempotency-replayed')).toBe(false);
    expect(again.text).toBe(first.text);
  }
  await world.api.pool.query('drop trigger keep on tandem.bulk_ledger');
  expect(await statusOf(ids)).toEqual(['void', 'void', 'void']);
});

test('a retry of a filter whose first answer was lost is charged for both attempts, and refused beyond the quota', async () => {
  const { key, id, ids } = await world.account(3);
  await world.api.pool.query('update accounts set bulk_quota = 2 where id = $1', [id]);
  const [first = '', second = '', later = ''] = ids;
  await world.api.pool.query(`update documint.invoices set status = 'paid' where id = $1`, [later]);
  const body = {
    resource: 'invoices',
    operation: 'void',
    filter: { id: { in: ids }, status: { eq: 'open' } },
  };
  await world.api.pool.query(`
    create function tandem.stay() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger stay before delete on tandem.bulk_ledger for each row execute function tandem.stay()`);
  const submit = () => world.submit(key, body, { 'idempotency-key': 'a lost filter' });
  expect(await submit()).toMatchObject({ status: 200, json: { succeeded: 2 } });
  // As if the api had died before it committed its answer and what it had used; then one more record matches.
  await world.api.pool.query('delete from idempotency_keys');
  await world.api.pool.query('update bulk_quota_use set used = 0 where account_id = $1', [id]);
  await world.api.pool.query(`update documint.invoices set status = 'open' where id = $1`, [later]);
  expect(await submit()).toMatchObject({ status: 429, json: { quota: { limit: 2 } } });
  expect(await statusOf(ids)).toEqual(['void', 'void', 'open']);
  await world.api.pool.query('update accounts set bulk_quota = 3 where id = $1', [id]);
  const done = await submit();
  expect(done.json.results.map(({ item_id: itemId }: { item_id: string }) => itemId)).toEqual([
    first,
    second,
    later,
  ]);
  const { rows } = await world.api.pool.query(
    'select used::int, reserved::int from bulk_quota_use where account_id = $1',
    [id],
  );
  expect(rows).toEqual([{ used: 3, reserved: 0 }]);
  await world.api.pool.query('drop trigger stay on tandem.bulk_ledger');
});

test('values of parameters are checked by the type of their column', async () => {
  const { key, ids } = await world.account(1);
  const update = (params: unknown) =>
    world.submit(key, { resource: 'invoices', operation: 'update', ids, params });
  expect((await update({ status: 'lost' })).json.errors).toMatchObject([{ pointer: '/params/status' }]);
  expect((await update({ total: 5 })).json.errors).toMatchObject([{ pointer: '/params/total' }]);
  expect((await update({ memo: { a: 1 } })).json.errors).toMatchObject([{ pointer: '/params/memo' }]);
  expect((await update({ status: null })).json.errors).toMatchObject([{ pointer: '/params/status' }]);
  expect((await update({})).json.errors).toMatchObject([{ pointer: '/params' }]);
  expect(await update({ status: 'paid', memo: null })).toMatchObject({ status: 200, json: { succeeded: 1 } });
  expect(await statusOf(ids)).toEqual(['paid']);
});

test('arrays and enums are set like anything else', async () => {
  const { key, ids } = await world.account(1);
  const body = { resource: 'customers', operation: 'update', ids, params: { tags: ['a "b"', 'c,d', '{}'] } };
  expect(await world.submit(key, body)).toMatchObject({ status: 200, json: { succeeded: 1 } });
  const { rows } = await world.api.pool.query('select tags from documint.customers where id = $1', [ids[0]]);
  expect(rows[0].tags).toEqual(['a "b"', 'c,d', '{}']);
});

test('a soft delete marks the record, and a second one is skipped', async () => {
  const { key, ids } = await world.account(1);
  const body = { resource: 'invoices', operation: 'delete', ids };
  expect((await world.submit(key, body)).json.results).toMatchObject([{ status: 'succeeded' }]);
  expect((await world.submit(key, body)).json.results).toMatchObject([
    { status: 'skipped', code: 'already_deleted' },
  ]);
  const update = { resource: 'invoices', operation: 'void', ids };
  expect((await world.submit(key, update)).json.results).toMatchObject([
    { status: 'failed', code: 'not_found' },
  ]);
});

test('the quota of the month must cover all items, and skipped ones cost nothing', async () => {
  const { key, id, ids } = await world.account(5);
  await world.api.pool.query('update accounts set bulk_quota = 3 where id = $1', [id]);
  const run = (chosen: readonly string[]) =>
    world.submit(key, { resource: 'invoices', operation: 'void', ids: chosen });
  expect((await run(ids.slice(0, 2))).status).toBe(200);
  expect((await run(ids.slice(0, 1))).json.skipped).toBe(1);
  const refused = await run(ids.slice(2, 4));
  expect(refused.status).toBe(429);
  expect(refused.json.quota).toMatchObject({ limit: 3, used: 2, remaining: 1 });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await run(ids.slice(2, 3))).status).toBe(200);
  expect(await statusOf(ids)).toEqual(['void', 'void', 'void', 'open', 'open']);
});

test('items that another transaction holds fail as conflicts, and the others are done', async () => {
  const { key, ids } = await world.account(3);
  const blocker = await world.api.pool.connect();
  try {
    await blocker.query('begin');
    await blocker.query('select from documint.invoices where id = $1 for update', [ids[1]]);
    const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', ids });
    expect(json.results).toMatchObject([
      { status: 'succeeded' },
      { status: 'failed', code: 'conflict' },
      { status: 'succeeded' },
    ]);
  } finally {
    await blocker.query('rollback');
    blocker.release();
  }
});

test('an item that the database refuses fails by itself, with the rule that it breaks', async () => {
  const { key, ids } = await world.account(8);
  await world.api.pool.query(
    `alter table documint.invoices add constraint no_void_of_this check (id <> ${ids[5]} or status <> 'void')`,
  );
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', ids });
  expect(json).toMatchObject({ succeeded: 7, failed: 1 });
  expect(json.results[5]).toMatchObject({ status: 'failed', code: 'constraint_violation' });
  expect(json.results[5].message).toContain('no_void_of_this');
});

test('what is not done in time fails and is left as it was; what is done is told, charged and kept for a retry', async () => {
  await using hasty = await openBulkWorld({ syncApplyMs: 4_000 });
  const { id, key, ids } = await hasty.account(4);
  const [a, refused, , slow] = ids;
  // The refused item makes halves of the request. The slow one is slow once the first of them is committed.
  await hasty.api.pool.query(`
    create function documint.drag() returns trigger language plpgsql as $$ begin
      if new.id = ${refused} then raise exception 'not this one'; end if;
      if new.id = ${slow} and exists (select from documint.invoices where id = ${a} and status = 'void') then
        perform pg_sleep(60);
      end if;
      return new;
    end $$;
    create trigger drag before update on documint.invoices for each row execute function documint.drag()`);
  const body = { resource: 'invoices', operation: 'void', ids };
  const first = await hasty.submit(key, body, { 'idempotency-key': 'hasty' });
  expect(first).toMatchObject({ status: 200, json: { total: 4, succeeded: 1, failed: 3 } });
  expect(first.json.results).toMatchObject([
    { status: 'succeeded' },
    { status: 'failed', code: 'rejected' },
    { status: 'failed', code: 'not_attempted' },
    { status: 'failed', code: 'not_attempted' },
  ]);
  const { rows } = await hasty.api.pool.query('select status from documint.invoices order by id');
  expect(rows.map(({ status }) => status)).toEqual(['void', 'open', 'open', 'open']);
  const again = await hasty.submit(key, body, { 'idempotency-key': 'hasty' });
  expect(again.text).toBe(first.text);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  const used = await hasty.api.pool.query('select used from bulk_quota_use where account_id = $1', [id]);
  expect(used.rows).toEqual([{ used: '2' }]);
  const audit = await hasty.api.pool.query(
    "select details ->> 'items' as items from audit_log where account_id = $1 and action = 'bulk.run'",
    [id],
  );
  expect(audit.rows).toEqual([{ items: '2' }]);
});

test('what does not go together is told at once', async () => {
  const { key } = await world.account(1);
  const pointers = async (body: Record<string, unknown>) =>
    (await world.submit(key, { resource: 'invoices', operation: 'void', ...body })).json.errors.map(
      ({ pointer }: { pointer: string }) => pointer,
    );
  expect(await pointers({})).toEqual(['/ids']);
  expect(await pointers({ ids: ['1'], filter: { id: { eq: 1 } } })).toEqual(['/filter']);
  expect(await pointers({ ids: ['1'], semantics: 'live' })).toEqual(['/semantics']);
  expect(await pointers({ file_id: 'file_1' })).toEqual(['/async']);
  expect(await pointers({ ids: ['1'], colour: 'red' })).toEqual(['/colour']);
  expect(await pointers({ ids: ['1'], operation: 'explode' })).toEqual(['/operation']);
});
