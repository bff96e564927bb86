import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { parseExactJson } from '../../deploy/demo/exact-json.ts';
import { startTraffic, type Traffic } from '../../deploy/demo/traffic.ts';
import type { World } from '../../deploy/demo/world.ts';
import { DOCUMINT } from '../../deploy/samples/products.ts';
import { applyChanges, takeExport } from '../support/export-files.ts';
import {
  createExport,
  differencesAfter,
  differencesNow,
  loadExport,
  pullFeed,
} from '../support/subscriber.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** Rows and columns that the catalog keeps back are in nothing that leaves, and all that leaves agrees. */

const EXPOSED = ['id', 'account_id', 'customer_id', 'status', 'total', 'memo', 'created_at', 'deleted_at'];
/** On columns that leave, and on one that does not. */
const WHERE = '{ status: { in: [open, paid] }, or: [{ currency: { ne: EUR } }, { total: { gte: 500 } }] }';
const SQL = `status in ('open', 'paid') and (currency <> 'EUR' or total >= 500)`;

/** DocuMint with a catalog that keeps something back. */
async function openWorldOf(catalog: string): Promise<World> {
  const sample = await readFile(DOCUMINT.catalog, 'utf8');
  await writeFile(
    catalog,
    sample
      .replace('hide: [internal_notes]', `expose: [${EXPOSED.join(', ')}]\n    where: ${WHERE}`)
      .replace('event: line_item\n', 'event: line_item\n    where: { is_taxable: { eq: true } }\n'),
  );
  return openTestWorld({
    product: { ...DOCUMINT, catalog },
    rows: 800,
    accounts: 2,
    mainAccountShare: 0.8,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
    env: { EXTRACTOR_CHUNK_BYTES: '1' },
  });
}

function traffic({ sourceUrl }: World, accounts: readonly string[], seed: number): Promise<Traffic> {
  return startTraffic({ databaseUrl: sourceUrl, accounts, perSecond: 60, connections: 2, seed });
}

async function moreCommits({ counts }: Traffic, count: number): Promise<void> {
  const wanted = counts.commits + count;
  await waitFor('more commits', () => counts.commits >= wanted);
}

/** Moves rows over the filter's edges in ways that the product does not. */
async function moveOver(source: pg.Client, modulus: number): Promise<void> {
  await source.query(
    `update documint.invoices set currency = case currency when 'EUR' then 'USD' else 'EUR' end where id % $1 = 0`,
    [modulus],
  );
  await source.query('update documint.line_items set is_taxable = not is_taxable where id % $1 = 1', [
    modulus,
  ]);
}

const hashes = ({ files }: ExportView) => files?.map(({ name, rows, sha256 }) => ({ name, rows, sha256 }));

test('files, feed, changes since and the past all hold the rows that leave, and no others', async () => {
  await using cleanup = new AsyncDisposableStack();
  const world = cleanup.use(await openWorldOf(join(temporaryDirectory(), 'documint.yaml')));
  const source = new pg.Client({ connectionString: world.sourceUrl });
  await source.connect();
  cleanup.defer(() => source.end());
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  // On an idle database the feed moves by its heartbeat only, every ten seconds.
  const others = await traffic(world, world.generated.accounts.slice(1), 3);
  cleanup.defer(async () => void (await others.stop()));
  const resources = world.catalog.resources.map(({ name }) => name);
  const writes = await traffic(world, world.generated.accounts, 1);
  await moveOver(source, 5);
  const { id: first } = await createExport(world, customer);
  const followed = await loadExport(world, customer, first);
  const refreshed = await loadExport(world, customer, first);
  await moreCommits(writes, 40);
  await moveOver(source, 7);
  await moreCommits(writes, 40);
  await writes.stop();

  const { rows } = await source.query<{ now: string }>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
  );
  const moment = rows[0]?.now ?? '';
  const then = await createExport(world, customer);
  const thenHashes = hashes(await customer.client.completedExport(then.id, 120_000));
  const second = await takeExport(customer, { resources, changes_since: first });
  expect(applyChanges(world, second.files, refreshed)).toEqual([]);

  const { rows: expected } = await source.query<{ id: string }>(
    `select id::text from documint.invoices where account_id = $1 and deleted_at is null and ${SQL} order by invoices.id`,
    [customer.sourceId],
  );
  const whole = await takeExport(customer, { resources });
  const invoices = whole.files.get('invoices.jsonl') ?? [];
  const textOf = (value: unknown) => JSON.stringify(value);
  expect(invoices.map(({ id }) => textOf(id))).toEqual(expected.map(({ id }) => textOf(parseExactJson(id))));
  expect(Object.keys(invoices[0] ?? {}).toSorted()).toEqual(EXPOSED.toSorted());
  expect((whole.files.get('line_items.jsonl') ?? []).every((line) => line.is_taxable === true)).toBe(true);

  let query = `after_export=${first}`;
  const advance = async () => {
    query = await pullFeed(customer, query, followed);
  };
  expect(await differencesAfter(world, customer, followed, advance)).toEqual([]);
  expect(await differencesNow(world, customer, refreshed)).toEqual([]);

  // By the feed's own events, the moment before the rest is as it was.
  const later = await traffic(world, world.generated.accounts, 2);
  await moveOver(source, 3);
  await moreCommits(later, 40);
  await later.stop();
  const past = await customer.client.call<ExportView>('POST', '/exports', { resources, as_of: moment });
  expect(hashes(await customer.client.completedExport(past.id, 120_000))).toEqual(thenHashes);
});
