import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { startTraffic, type Traffic } from '../../deploy/demo/traffic.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { applyChanges, takeExport } from '../support/export-files.ts';
import {
  createExport,
  differencesAfter,
  differencesNow,
  loadExport,
  pullFeed,
} from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** What an export holds of the source, while the product writes to it. */

let world: World;
let customer: Customer;
let resources: string[];

beforeAll(async () => {
  world = await openTestWorld({
    rows: 2_000,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
  });
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  resources = world.catalog.resources.map(({ name }) => name);
});

afterAll(() => world?.[Symbol.asyncDispose]());

/** Exact JSON keeps numbers as objects, which are not equal to each other. */
const textOf = (value: unknown) => JSON.stringify(value);

function byId(rows: readonly Record<string, unknown>[] = []): Map<string, string> {
  return new Map(rows.map((row) => [textOf(row.id), textOf(row)]));
}

function traffic(seed: number): Promise<Traffic> {
  return startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: world.generated.accounts,
    perSecond: 120,
    connections: 3,
    seed,
  });
}

function moreCommits({ counts }: Traffic, count: number): Promise<unknown> {
  const wanted = counts.commits + count;
  return waitFor('more commits', () => counts.commits >= wanted);
}

test('an earlier export and the changes since then are the source, and the feed goes on from there', async () => {
  const writes = await traffic(1);
  const spanning = await writes.openTransaction();
  const { id: first } = await createExport(world, customer);
  const [followed, refreshed] = [
    await loadExport(world, customer, first),
    await loadExport(world, customer, first),
  ];
  await moreCommits(writes, 150);
  await spanning.commit();
  const estimate = await customer.client.call<{ estimated_rows: number; estimated_bytes: number }>(
    'POST',
    '/exports',
    { resources, changes_since: first, dry_run: true },
  );
  expect(estimate.estimated_rows).toBeGreaterThan(0);
  expect(estimate.estimated_bytes).toBeGreaterThan(estimate.estimated_rows);
  const second = await takeExport(customer, { resources, changes_since: first });
  for (const replica of [followed, refreshed]) {
    expect(applyChanges(world, second.files, replica)).toEqual([]);
  }
  await moreCommits(writes, 100);
  await writes.stop();

  let after = `after_export=${second.id}`;
  const faults = await differencesAfter(world, customer, followed, async () => {
    after = await pullFeed(customer, after, followed);
  });
  expect(faults).toEqual([]);

  const third = await takeExport(customer, { resources, changes_since: second.id, compression: 'none' });
  expect(applyChanges(world, third.files, refreshed)).toEqual([]);
  expect(await differencesNow(world, customer, refreshed)).toEqual([]);

  const fourth = await takeExport(customer, { resources, changes_since: third.id });
  expect([...fourth.files.values()].flat()).toEqual([]);
  expect([...fourth.files.keys()].sort()).toEqual(
    resources.flatMap((name) => [`${name}.changed.jsonl`, `${name}.deleted.jsonl`]).sort(),
  );
});

test('with deleted and related records, too, the changes lead from one full export to the next', async () => {
  const body = { resource: 'invoices', include_related: true, include_deleted: true };
  const writes = await traffic(2);
  const before = await takeExport(customer, body);
  await moreCommits(writes, 150);
  await writes.stop();
  const changes = await takeExport(customer, { ...body, changes_since: before.id });
  const now = await takeExport(customer, body);
  for (const name of resources) {
    const records = byId(before.files.get(`${name}.jsonl`));
    for (const { id } of changes.files.get(`${name}.deleted.jsonl`) ?? []) records.delete(textOf(id));
    for (const [id, row] of byId(changes.files.get(`${name}.changed.jsonl`))) records.set(id, row);
    const expected = byId(now.files.get(`${name}.jsonl`));
    expect(records).toEqual(expected);
  }
});

test('every foreign key resolves in an export with related records, taken while they are written', async () => {
  const writes = await traffic(3);
  for (const more of [{}, { date_range: { from: '2025-06-01T00:00:00Z' } }]) {
    const { files } = await takeExport(customer, { resource: 'invoices', include_related: true, ...more });
    const idsOf = (name: string) => [...byId(files.get(`${name}.jsonl`)).keys()];
    const [customers, invoices] = [idsOf('customers'), idsOf('invoices')];
    expect(invoices.length).toBeGreaterThan(0);
    for (const { customer_id: id } of files.get('invoices.jsonl') ?? [])
      expect(customers).toContain(textOf(id));
    for (const { invoice_id: id } of files.get('line_items.jsonl') ?? [])
      expect(invoices).toContain(textOf(id));
  }
  await writes.stop();
});

test('a file has the fields that were asked for, and the key', async () => {
  const { id, files } = await takeExport(customer, { resource: 'invoices', fields: ['status', 'total'] });
  const [row] = files.get('invoices.jsonl') ?? [];
  expect(Object.keys(row ?? {})).toEqual(['id', 'status', 'total']);
  const view = await customer.client.call<ExportView & { fields: string[] }>('GET', `/exports/${id}`);
  expect(view.fields).toEqual(['id', 'status', 'total']);
  const refused = (body: object) => customer.client.call('POST', '/exports', body);
  await expect(refused({ resource: 'invoices', fields: ['id', 'internal_notes'] })).rejects.toThrow(
    '/fields/1',
  );
  await expect(refused({ resources, fields: ['id'] })).rejects.toThrow('are for one resource');
});

test('fields and changes come in every format', async () => {
  const completed = async (body: object) => {
    const { id } = await customer.client.call<ExportView>('POST', '/exports', body);
    return customer.client.completedExport(id, 120_000);
  };
  const csv = await completed({ resource: 'invoices', fields: ['status', 'total'], format: 'csv' });
  const text = await (await fetch(csv.files?.[0]?.url ?? '')).text();
  expect(text.slice(0, text.indexOf('\r'))).toBe('id,status,total');
  const whole = await completed({ resources });
  await runOnSource('delete from documint.line_items where id % 11 = 0');
  for (const format of ['csv', 'parquet']) {
    const { files } = await completed({ resources, changes_since: whole.id, format });
    const deleted = files?.find(({ name }) => name === `line_items.deleted.${format}`);
    expect(deleted?.rows).toBeGreaterThan(0);
  }
  const { files } = await completed({ resources, changes_since: whole.id, archive: 'zip' });
  expect(files?.map(({ name }) => name)).toEqual(['export.zip']);
});

test('changes are refused for another scope, and to another account', async () => {
  const before = await takeExport(customer, { resources });
  const refused = (body: object) =>
    customer.client.call('POST', '/exports', { changes_since: before.id, ...body });
  await expect(refused({ resource: 'invoices' })).rejects.toThrow('/resources');
  await expect(refused({ resources, include_deleted: true })).rejects.toThrow('/include_deleted');
  await expect(refused({ resources, changes_since: 'exp_unknown' })).rejects.toThrow('404');
  const stranger = await world.createCustomer(world.generated.accounts[1] ?? '');
  await expect(
    stranger.client.call('POST', '/exports', { resources, changes_since: before.id }),
  ).rejects.toThrow('404');
});

test('changes can not be told of once a table was altered, or emptied', async () => {
  const statements = [
    'alter table documint.customers add column tier text default $$basic$$',
    'alter table documint.customers alter column tier type text using upper(tier)',
    'alter table documint.customers drop column tier',
    'truncate documint.line_items',
  ];
  const first = await takeExport(customer, { resources });
  await runOnSource('vacuum full documint.customers');
  await takeExport(customer, { resources, changes_since: first.id });
  for (const statement of statements) {
    const before = await takeExport(customer, { resources });
    await runOnSource(statement);
    const changes = { resources, changes_since: before.id };
    // The catalogs say so at once, the feed a moment later.
    await expect(takeExport(customer, changes)).rejects.toThrow(/table_changed|feed_reset/);
  }
});

test('a hidden column that goes by another name is in no export', async () => {
  await runOnSource('alter table documint.invoices rename column internal_notes to notes');
  await expect(takeExport(customer, { resource: 'invoices' })).rejects.toThrow('table_changed');
  await runOnSource('alter table documint.invoices rename column notes to internal_notes');
  const { files } = await takeExport(customer, { resource: 'invoices' });
  expect([...files.keys()]).toEqual(['invoices.jsonl']);
});

async function runOnSource(statement: string): Promise<void> {
  const source = new pg.Client({ connectionString: world.sourceUrl });
  await source.connect();
  await source.query(statement);
  await source.end();
}
