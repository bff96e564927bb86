import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareWithSource } from '../../deploy/demo/compare.ts';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { type OwnPostgres, openOwnPostgres } from '../support/own-postgres.ts';
import { testStack } from '../support/stack.ts';
import { loadExport, pullFeed } from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** Exports whose rows are read in short transactions while the product writes. */

interface ExportView {
  id: string;
  status: string;
  error?: { code: string; message: string };
  rows: { extracted: number };
  snapshot: { kind: string; reason: string | null } | null;
  files: { name: string; sha256: string; rows: number }[];
}

const LIMIT_MS = 240_000;

let postgres: OwnPostgres;
let world: World;
let customer: Customer;
let source: pg.Client;

beforeAll(async () => {
  // A transaction stays open while all the exports are made; on the tests' own server others would wait for it.
  postgres = await openOwnPostgres({ max_connections: '200' });
  world = await openTestWorld({
    stack: { databaseUrl: postgres.url('postgres') },
    controlServerUrl: testStack().databaseUrl,
    rows: 12_000,
    accounts: 2,
    mainAccountShare: 0.8,
    services: { api: 1, extractor: 2, writer: 1, capture: 1, dispatcher: 1 },
    // Chunks of a thousand rows.
    env: { EXTRACTOR_CHUNK_BYTES: '1', EXTRACTOR_CHUNK_WINDOW: '4' },
  });
  source = new pg.Client({ connectionString: world.sourceUrl });
  await source.connect();
  // Values that an update which leaves them alone does not send again.
  for (const table of ['customers', 'invoices', 'line_items']) {
    await source.query(
      `create unique index on documint.${table} (id, account_id);
       alter table documint.${table} replica identity using index ${table}_id_account_id_idx`,
    );
  }
  await source.query(`alter table documint.invoices alter memo set storage external`);
  await source.query(
    `update documint.invoices set memo = repeat(md5(id::text), 100) where id::text ~ '[02468]$'`,
  );
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  await world.operator.call('PATCH', `/admin/accounts/${customer.id}`, {
    limits: { max_running_exports: 10 },
  });
});

afterAll(async () => {
  await source?.end();
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const create = (body: object) => customer.client.call<ExportView>('POST', '/exports', body);
const read = (id: string) => customer.client.call<ExportView>('GET', `/exports/${id}`);

async function completed(id: string): Promise<ExportView> {
  await customer.client.completedExport(id, LIMIT_MS);
  return read(id);
}

const ALL = ['customers', 'invoices', 'line_items'];

const REQUESTS = [
  { resources: ALL },
  {
    resource: 'invoices',
    format: 'csv',
    fields: ['id', 'status', 'memo', 'created_at'],
    compression: 'gzip',
  },
  { resources: ['customers', 'line_items'], format: 'parquet', include_deleted: true },
  { resource: 'invoices', include_related: true, include_deleted: true, archive: 'zip', format: 'csv' },
  { resource: 'invoices', date_range: { from: '2000-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' } },
];

test('files are those of one snapshot, byte for byte, and the feed goes on from them', async () => {
  const traffic = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: world.generated.accounts,
    perSecond: 150,
    connections: 4,
    seed: 15,
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(async () => void (await traffic.stop()));
  await source.query(
    `insert into documint.customers (account_id, name, email, country, address)
     select unnest($1::text[]), 'Mover', 'mover@example.com', 'DE', '{}' from generate_series(1, 10)`,
    [world.generated.accounts.slice(0, 2)],
  );
  // They come back while rows are read, so that new keys are among those that were read.
  await source.query(
    `create table away as select * from documint.line_items
     where account_id = '${customer.sourceId}' and id % 7 = 0`,
  );
  await source.query('delete from documint.line_items where id in (select id from away)');
  const asked: ExportView[] = [];
  /** Until they have read some of their rows, at the least rate that there is. */
  const begin = async (...places: readonly number[]) => {
    await Promise.all(
      places.map(async (place) => {
        const body = { ...REQUESTS[place], snapshot: 'chunked', max_rows_per_second: 1_000 };
        asked[place] = await create(body);
      }),
    );
    await waitFor('some of each export to be read', async () => {
      const views = await Promise.all(places.map((place) => read(asked[place]?.id ?? '')));
      for (const { status, error } of views) if (status === 'failed') throw new Error(JSON.stringify(error));
      return views.every(({ rows }) => rows.extracted > 0);
    });
  };
  // Of every export, rows change after they were read and before, and none has its snapshot yet: the short ones begin last.
  await begin(0, 2, 3);
  await begin(1, 4);
  const [first] = asked;
  if (first === undefined) throw new Error('no export');
  const pausedId = asked[2]?.id ?? '';
  const paused = await customer.client.call<ExportView>('POST', `/exports/${pausedId}/pause`);
  expect(paused).toMatchObject({ status: 'paused', snapshot: null });
  const spanning = new pg.Client({ connectionString: world.sourceUrl });
  await spanning.connect();
  cleanup.defer(() => spanning.end());
  await spanning.query('begin');
  await spanning.query(
    `update documint.invoices set memo = 'committed after the files'
     where id in (select id from documint.invoices where account_id = $1 and deleted_at is null order by id limit 20)`,
    [customer.sourceId],
  );
  await traffic.stop();
  await source.query(
    `insert into documint.line_items select * from away
     where id % 2 = 0 and exists (select from documint.invoices i where i.id = invoice_id)`,
  );
  // To the other account, and from it.
  const moved = await source.query(
    `update documint.customers c set account_id = case account_id when $1 then $2 else $1 end
     where name = 'Mover' and not exists (select from documint.invoices i where i.customer_id = c.id)`,
    [customer.sourceId, world.generated.accounts[1]],
  );
  expect(moved.rowCount).toBeGreaterThan(0);
  const views = await Promise.all(asked.map(({ id }) => read(id)));
  expect(views.map(({ snapshot }) => snapshot)).toEqual(views.map(() => null));
  await customer.client.call('POST', `/exports/${pausedId}/resume`);
  const chunked = [];
  for (const { id } of asked) chunked.push(await completed(id));
  expect(chunked.map(({ snapshot }) => snapshot)).toEqual(
    chunked.map(() => expect.objectContaining({ kind: 'chunked', reason: null })),
  );
  const single = [];
  for (const body of REQUESTS)
    single.push(await completed((await create({ ...body, snapshot: 'single' })).id));
  const factsOf = ({ files }: ExportView) => files.map(({ name, sha256, rows }) => ({ name, sha256, rows }));
  expect(chunked.map(factsOf)).toEqual(single.map(factsOf));

  const replica = await loadExport(world, customer, first.id);
  await spanning.query('commit');
  const after = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: world.generated.accounts,
    perSecond: 150,
    connections: 4,
    seed: 16,
  });
  await waitFor('changes after the exports', () => after.counts.commits > 200);
  await after.stop();
  let from = `after_export=${first.id}`;
  const pull = async () => {
    from = await pullFeed(customer, from, replica);
  };
  await waitFor('the replica to be the source', async () => {
    await pull();
    const { differences } = await compareWithSource(
      world.sourceUrl,
      world.catalog,
      customer.sourceId,
      replica,
    );
    return differences.length === 0;
  });
  // Without the old row, a record that is no longer soft-deleted is told as updated.
  expect(replica.violations.filter((text) => !/updated at .* was not there/.test(text))).toEqual([]);

  // Both are of one state, so what changed since then is the same.
  const since = async (base: string | undefined) =>
    factsOf(await completed((await create({ resources: ALL, changes_since: base })).id));
  const changed = await since(first.id);
  expect(changed.reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(0);
  expect(changed).toEqual(await since(single[0]?.id));
}, 600_000);

test('a value that capture read after the snapshot is in the feed, and not in the file', async () => {
  const memo = (kind: string) => `${kind} ${'0123456789abcdef'.repeat(200)}`;
  // The last record by its key is read last. Its memo is stored apart, so restoring the record does not send it again.
  const found = await source.query<{ id: string }>(
    `update documint.invoices set deleted_at = now(), memo = $2
     where id = (select max(id) from documint.invoices where account_id = $1) returning id::text`,
    [customer.sourceId, memo('before')],
  );
  const id = found.rows[0]?.id;
  const begun = await create({ resource: 'invoices', snapshot: 'chunked', max_rows_per_second: 1_000 });
  await waitFor('some rows to be read', async () => (await read(begun.id)).rows.extracted > 0);
  world.services.kill('capture', 0, 'SIGSTOP');
  await source.query('update documint.invoices set deleted_at = null where id = $1', [id]);
  await waitFor('the snapshot', async () => (await read(begun.id)).snapshot, LIMIT_MS);
  await source.query('update documint.invoices set memo = $2 where id = $1', [id, memo('after')]);
  world.services.kill('capture', 0, 'SIGCONT');
  expect(await completed(begun.id)).toMatchObject({ snapshot: { kind: 'chunked', reason: null } });

  const replica = await loadExport(world, customer, begun.id);
  const memoInFile = [...replica.records('invoices').values()]
    .map((text) => JSON.parse(text) as { id: unknown; memo: string })
    .find((record) => String(record.id) === id)?.memo;
  expect(memoInFile).toBe(memo('before'));
  const control = new pg.Client({ connectionString: world.controlUrl });
  await control.connect();
  const filled = await control.query<{ memo: string }>(
    `select payload::jsonb->'data'->>'memo' as memo from tandem.events
     where account_id = $1 and resource = 'invoices' and json_nulls->'filled'->'columns' ? 'memo' order by commit_lsn desc limit 1`,
    [customer.id],
  );
  await control.end();
  expect(filled.rows).toEqual([{ memo: memo('after') }]);
  const query = `after_export=${begun.id}`;
  const differences = async () => {
    await pullFeed(customer, query, replica);
    return (await compareWithSource(world.sourceUrl, world.catalog, customer.sourceId, replica)).differences;
  };
  const ofInvoices = (all: readonly string[]) => all.filter((text) => text.startsWith('invoices'));
  await waitFor('the replica to be the source', async () => ofInvoices(await differences()).length === 0);
}, 600_000);
