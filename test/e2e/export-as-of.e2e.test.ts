import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { parseExactJson } from '../../deploy/demo/exact-json.ts';
import type { FeedEvent } from '../../deploy/demo/replica.ts';
import { startTraffic, type Traffic } from '../../deploy/demo/traffic.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { takeExport } from '../support/export-files.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** Exports of a past moment: the same bytes as an export that was taken then, whatever has been written since. */

let world: World;
let source: pg.Client;
let customer: Customer;
let other: Customer;
let resources: string[];

const EXPORT_LIMIT_MS = 120_000;

/** What an export may look like; each asks for another part of the way from a record to a file. */
const SHAPES = [
  { format: 'jsonl' },
  { format: 'csv', include_deleted: true },
  { format: 'parquet' },
  { archive: 'zip', compression: 'gzip', include_deleted: true },
] as const;

beforeAll(async () => {
  world = await openTestWorld({
    rows: 800,
    accounts: 2,
    mainAccountShare: 0.8,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
    // The least that a chunk can be, so that there are several.
    env: { EXTRACTOR_CHUNK_BYTES: '1' },
  });
  source = new pg.Client({ connectionString: world.sourceUrl });
  await source.connect();
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  other = await world.createCustomer(world.generated.accounts[1] ?? '');
  resources = world.catalog.resources.map(({ name }) => name);
  await historyBegun();
});

afterAll(async () => {
  await source?.end();
  await world?.[Symbol.asyncDispose]();
});

async function inControl<T extends pg.QueryResultRow>(text: string, values: unknown[]) {
  const control = new pg.Client({ connectionString: world.controlUrl });
  await control.connect();
  try {
    return await control.query<T>(text, values);
  } finally {
    await control.end();
  }
}

/** Until the accounts have a past that can be asked for. */
function historyBegun(): Promise<unknown> {
  return waitFor('the history to begin', async () => {
    const { rows } = await inControl<{ is_begun: boolean }>(
      `select (select bool_and(recorded_from_at < now()) from tandem.accounts)
           and (select count(*) = $1 from tandem.table_history) as is_begun`,
      [resources.length],
    );
    return rows[0]?.is_begun;
  });
}

/** Ends with the test, however that ends. */
async function traffic(seed: number): Promise<Traffic> {
  const writes = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: world.generated.accounts,
    perSecond: 60,
    connections: 3,
    seed,
  });
  onTestFinished(async () => void (await writes.stop()));
  return writes;
}

function moreCommits({ counts }: Traffic, count: number): Promise<unknown> {
  const wanted = counts.commits + count;
  return waitFor('more commits', () => counts.commits >= wanted);
}

async function sourceTime(): Promise<string> {
  const { rows } = await source.query<{ now: string }>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
  );
  return rows[0]?.now ?? '';
}

async function completed(of: Customer, body: object): Promise<ExportView & { as_of: string | null }> {
  const { id } = await of.client.call<ExportView>('POST', '/exports', { resources, ...body });
  return (await of.client.completedExport(id, EXPORT_LIMIT_MS)) as ExportView & { as_of: string | null };
}

/** At the least rate that there is. */
const IN_CHUNKS = { snapshot: 'chunked', max_rows_per_second: 1_000 };

const hashes = ({ files }: ExportView) => files?.map(({ name, rows, sha256 }) => ({ name, rows, sha256 }));

test('the past has the bytes that an export had then, in every format, each time', async () => {
  await source.query(
    `insert into documint.customers (account_id, name, email, country, address)
    select $1, 'moves away ' || g, 'm@example.com', 'DE', 'null' from generate_series(1, 20) g`,
    [customer.sourceId],
  );
  const before = await traffic(11);
  await moreCommits(before, 60);
  await before.stop();
  const moment = await sourceTime();
  const then = await Promise.all([
    ...SHAPES.map((shape) => completed(customer, shape)),
    completed(other, { format: 'csv' }),
  ]);

  const since = await traffic(12);
  await source.query(
    `update documint.customers set account_id = $2 where account_id = $1 and name like 'moves away%' and id % 2 = 0`,
    [customer.sourceId, other.sourceId],
  );
  await source.query(
    `update documint.customers set address = '{"since": 1.10}' where name like 'moves away%' and id % 3 = 0`,
  );
  await source.query(`delete from documint.line_items where id % 7 = 0`);
  await moreCommits(since, 80);
  const pasts = await Promise.all([
    ...SHAPES.map((shape) => completed(customer, { ...shape, as_of: moment })),
    completed(other, { format: 'csv', as_of: moment }),
  ]);
  expect(pasts.map(hashes)).toEqual(then.map(hashes));
  expect(pasts[0]?.as_of).toBe(moment.replace(/0*Z$/, 'Z'));
  // Read in short transactions, while rows change.
  const chunked = await Promise.all([
    ...SHAPES.map((shape) => completed(customer, { ...shape, ...IN_CHUNKS, as_of: moment })),
    completed(other, { format: 'csv', ...IN_CHUNKS, as_of: moment }),
  ]);
  expect(chunked.map(({ snapshot }) => snapshot)).toEqual(
    chunked.map(() => expect.objectContaining({ kind: 'chunked', reason: null })),
  );
  expect(chunked.map(hashes)).toEqual(then.map(hashes));
  await moreCommits(since, 20);
  await since.stop();
  expect(hashes(await completed(customer, { format: 'parquet', as_of: moment }))).toEqual(
    hashes(then[2] as ExportView),
  );

  // A date range, and one resource's fields.
  const range = { from: '2025-01-01T00:00:00Z', to: moment };
  const inRange = await takeExport(customer, {
    resource: 'invoices',
    fields: ['status', 'total'],
    date_range: range,
    as_of: moment,
  });
  const whole = await takeExport(customer, { resource: 'invoices', as_of: moment });
  const expected = (whole.files.get('invoices.jsonl') ?? [])
    .filter(({ created_at: at }) => String(at) >= range.from && String(at) < moment)
    .map(({ id, status, total }) => JSON.stringify({ id, status, total }));
  expect(inRange.files.get('invoices.jsonl')?.map((row) => JSON.stringify(row))).toEqual(expected);
});

test('a moment amid the traffic is the earlier export and the feed up to it', async () => {
  const first = await takeExport(customer, { resources });
  const writes = await traffic(13);
  const moments: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    await moreCommits(writes, 40);
    moments.push(await sourceTime());
  }
  await moreCommits(writes, 40);
  const pasts = await Promise.all(
    moments.map((moment) => takeExport(customer, { resources, as_of: moment })),
  );
  // The last is of the moment at which the reading begins.
  for (const [at, moment] of [...moments, await sourceTime()].entries()) {
    const asOf = { resources, as_of: moment };
    const [chunked, single, digest, digestOfSingle] = await Promise.all([
      takeExport(customer, { ...asOf, ...IN_CHUNKS }),
      pasts[at] ?? takeExport(customer, asOf),
      completed(customer, { ...asOf, ...IN_CHUNKS, format: 'digest' }),
      completed(customer, { ...asOf, format: 'digest' }),
    ]);
    expect(chunked.files).toEqual(single.files);
    expect(digest.snapshot?.kind).toBe('chunked');
    expect(hashes(digest)).toEqual(hashes(digestOfSingle));
  }
  await writes.stop();

  const events = await readEvents(first.id);
  for (const [at, moment] of moments.entries()) {
    const state = new Map(
      resources.map((name) => [
        name,
        new Map(
          (first.files.get(`${name}.jsonl`) ?? []).map((row) => [
            JSON.stringify(row.id),
            JSON.stringify(row),
          ]),
        ),
      ]),
    );
    const end = events.findIndex(({ timestamp }) => timestamp > moment);
    for (const { type, resource, data } of events.slice(0, end)) {
      if (type.endsWith('.deleted')) state.get(resource)?.delete(JSON.stringify(data.id));
      else state.get(resource)?.set(JSON.stringify(data.id), JSON.stringify(data));
    }
    expect(end).toBeGreaterThan(0);
    for (const name of resources) {
      const rows = pasts[at]?.files.get(`${name}.jsonl`) ?? [];
      const expected = [...(state.get(name) ?? [])].sort(([a], [b]) => Number(a) - Number(b));
      expect(rows.map((row) => JSON.stringify(row))).toEqual(expected.map(([, text]) => text));
    }
  }
});

async function readEvents(exportId: string): Promise<(FeedEvent & { timestamp: string })[]> {
  const events: (FeedEvent & { timestamp: string })[] = [];
  for (let query = `after_export=${exportId}`; ; ) {
    const text = await customer.client.text('GET', `/events?${query}&limit=1000`);
    const page = parseExactJson(text) as { data: typeof events; next_cursor: string | null };
    if (page.data.length === 0) return events;
    events.push(...page.data);
    query = `after=${encodeURIComponent(page.next_cursor ?? '')}`;
  }
}

test('a chunk without any record of the past beside one with some is read as it is', async () => {
  const before = await completed(customer, {});
  const moment = await sourceTime();
  expect(hashes(await completed(customer, { as_of: moment }))).toEqual(hashes(before));
  await source.query(
    `update documint.line_items set id = id where id = (select min(id) from documint.line_items where account_id = $1)`,
    [customer.sourceId],
  );
  await source.query(
    `delete from documint.line_items where id = (select min(id) from documint.line_items where account_id = $1)`,
    [customer.sourceId],
  );
  const past = await completed(customer, { as_of: moment });
  expect(hashes(past)).toEqual(hashes(before));
  const { rows } = await inControl<{ runs: number }>(
    'select run_count + failed_runs + gave_way_runs as runs from tandem.exports where id = $1',
    [past.id],
  );
  expect(rows).toEqual([{ runs: 1 }]);
});

test('what can not be told is refused, or fails with a code', async () => {
  const refused = (body: object) =>
    customer.client.call('POST', '/exports', { resource: 'invoices', ...body }).then(
      () => 'taken',
      (error: Error) => error.message,
    );
  const moment = await sourceTime();
  expect(await refused({ as_of: '2999-01-01T00:00:00Z' })).toContain('is in the future');
  expect(await refused({ as_of: '2001-01-01T00:00:00Z' })).toContain('/as_of');
  expect(await refused({ as_of: '2026-01-01T00:00:00' })).toContain('with a zone');
  expect(await refused({ as_of: moment, include_related: true })).toContain('/include_related');
  expect(
    await world.operator
      .call('POST', '/exports', { account_id: '*', resource: 'invoices', as_of: moment })
      .catch((error: Error) => error.message),
  ).toContain('one account');
  const late = await world.createCustomer('acc_not_seen_before');
  expect(
    await late.client
      .call('POST', '/exports', { resources, as_of: moment })
      .catch((error: Error) => error.message),
  ).toContain('recording');

  await source.query(`alter table documint.customers add column tier text default 'basic'`);
  await expect(takeExport(customer, { resources, as_of: moment })).rejects.toThrow('table_changed');
  await source.query('truncate documint.line_items');
  await expect(takeExport(customer, { resource: 'line_items', as_of: moment })).rejects.toThrow('feed_reset');
});
