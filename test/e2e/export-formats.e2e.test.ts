import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { quoteLiteral } from '../../shared/postgres/quote.ts';
import { queryDuckdb } from '../support/duckdb-reader.ts';
import { findPython } from '../support/python.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** What a customer gets who asks for something else than JSON Lines. */

interface FileView {
  name: string;
  resource: string | null;
  rows: number;
  sha256: string;
  url: string;
  members?: { name: string; resource: string; rows: number }[];
}

const EXPORT_LIMIT_MS = 120_000;

let world: World;
let customer: Customer;

beforeAll(async () => {
  world = await openTestWorld({
    rows: 2_000,
    accounts: 2,
    services: { api: 1, extractor: 2, writer: 2, capture: 1, dispatcher: 1 },
  });
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
});

afterAll(() => world?.[Symbol.asyncDispose]());

async function takeFiles(of: Customer, body: object): Promise<FileView[]> {
  const { id } = await of.client.call<{ id: string }>('POST', '/exports', body);
  const view = await of.client.completedExport(id, EXPORT_LIMIT_MS);
  return (view.files ?? []) as FileView[];
}

async function download({ name, url, sha256 }: FileView, directory: string): Promise<string> {
  const response = await fetch(url);
  const content = Buffer.from(await response.arrayBuffer());
  expect(createHash('sha256').update(content).digest('hex')).toBe(sha256);
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

test('an archive taken while records are written is whole, and every foreign key resolves in it', async () => {
  const python = findPython();
  const writes = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: world.generated.accounts,
    perSecond: 120,
    connections: 3,
    seed: 1,
  });
  await waitFor('some commits', () => writes.counts.commits > 50);
  const body = { resource: 'invoices', include_related: true, include_deleted: true, archive: 'zip' };
  const archives = await Promise.all(
    ['parquet', 'csv'].map(async (format) => takeFiles(customer, { ...body, format })),
  );
  await writes.stop();
  for (const [index, extension] of ['parquet', 'csv'].entries()) {
    const [archive, ...others] = archives[index] ?? [];
    expect(others).toEqual([]);
    expect(archive).toMatchObject({ name: 'export.zip', resource: null });
    expect(archive?.members?.map(({ name }) => name).sort()).toEqual(
      ['customers', 'invoices', 'line_items'].map((name) => `${name}.${extension}`),
    );
    if (python === undefined || archive === undefined) continue;
    const directory = temporaryDirectory();
    const unpacked = join(directory, 'unpacked');
    await mkdir(unpacked);
    await python.read('read_zip.py', await download(archive, directory), unpacked);
    const file = (name: string) => quoteLiteral(join(unpacked, `${name}.${extension}`));
    const [counts] = await queryDuckdb(`
      select (select count(*) from ${file('invoices')}),
        (select count(*) from ${file('invoices')} where customer_id not in (select id from ${file('customers')})),
        (select count(*) from ${file('line_items')}),
        (select count(*) from ${file('line_items')} where invoice_id not in (select id from ${file('invoices')}))`);
    const rowsOf = (name: string) => String(archive.members?.find(({ resource }) => resource === name)?.rows);
    expect(counts).toEqual([rowsOf('invoices'), '0', rowsOf('line_items'), '0']);
  }
});

test('of a source that nobody writes to, every format has the same values, and twice the same bytes', async () => {
  const directory = temporaryDirectory();
  const take = async (request: object) => takeFiles(customer, { resource: 'invoices', ...request });
  const paths = [];
  for (const request of [{ format: 'jsonl' }, { format: 'csv' }, { format: 'parquet' }]) {
    const [[first], [second]] = await Promise.all([take(request), take(request)]);
    expect(second?.sha256).toBe(first?.sha256);
    if (first !== undefined) paths.push(await download(first, directory));
  }
  const [jsonl = '', csv = '', parquet = ''] = paths;
  const [, ...records] = (await readFile(csv, 'utf8')).split('\r\n').slice(0, -1);
  const rows = (await readFile(jsonl, 'utf8')).split('\n').slice(0, -1);
  expect(records.length).toBe(rows.length);
  const invoices = rows.map((row) => JSON.parse(row) as { total: string; status: string });
  const [found] = await queryDuckdb(
    `select count(*), count(distinct id), sum(total), count(*) filter (status = 'paid') from ${quoteLiteral(parquet)}`,
  );
  const cents = invoices.reduce((sum, { total }) => sum + BigInt(total.replace('.', '')), 0n);
  expect(found?.slice(0, 2)).toEqual([String(rows.length), String(rows.length)]);
  expect(found?.[2]?.replace('.', '')).toBe(String(cents));
  expect(found?.[3]).toBe(String(invoices.filter(({ status }) => status === 'paid').length));
});

test('an account without records gets the columns all the same', async () => {
  const stranger = await world.createCustomer('nobody');
  const directory = temporaryDirectory();
  const [csv] = await takeFiles(stranger, { resource: 'invoices', format: 'csv' });
  const [parquet] = await takeFiles(stranger, { resource: 'invoices', format: 'parquet' });
  if (csv === undefined || parquet === undefined) throw new Error('a file is missing');
  expect([csv.rows, parquet.rows]).toEqual([0, 0]);
  const header = await readFile(await download(csv, directory), 'utf8');
  expect(header).toMatch(/^id,.*\r\n$/);
  const path = quoteLiteral(await download(parquet, directory));
  const columns = await queryDuckdb(`select column_name from (describe select * from ${path})`);
  expect(`${columns.map(([name]) => name).join(',')}\r\n`).toBe(header);
});
