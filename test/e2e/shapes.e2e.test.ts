import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { catalogCheckCommand } from '../../deploy/cli/commands/catalog-check.ts';
import { sourcePrepareCommand } from '../../deploy/cli/commands/source-prepare.ts';
import { verifyCommand } from '../../deploy/cli/commands/verify.ts';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import type { BulkJob } from '../../deploy/demo/run-bulk.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { quoteLiteral } from '../../shared/postgres/quote.ts';
import { ODD } from '../shapes/odd-shape.ts';
import { resourcesOf, type ShapeProduct, shapeProduct } from '../shapes/onboard.ts';
import type { ShapeTable } from '../shapes/shape.ts';
import { changeRows, type ShapeRow } from '../shapes/shape-rows.ts';
import { SHAPES } from '../shapes/shapes.ts';
import { queryDuckdb } from '../support/duckdb-reader.ts';
import { createLeastRoles } from '../support/least-roles.ts';
import { runCommand } from '../support/run-command.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

const EXPORT_LIMIT_MS = 180_000;

/** Each has services of its own, so `npm test` takes one, and `npm run test:shapes` all. */
const chosen = process.env.SHAPES === 'all' ? SHAPES : [ODD];

test.each(chosen.map((shape) => [shape.name, shape] as const))(
  'a product like %s is onboarded by the three steps, and its customers get what is theirs',
  async (_name, shape) => {
    await using cleanup = new AsyncDisposableStack();
    const { databaseUrl } = testStack();
    const { rolesOf } = cleanup.use(await createLeastRoles(databaseUrl));
    const product = shapeProduct(shape, databaseUrl, join(temporaryDirectory(), 'catalog.yaml'));
    const world = cleanup.use(
      await openTestWorld({
        product,
        rows: 0,
        accounts: product.rows.accounts.length,
        services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 },
        rolesOf,
      }),
    );
    const home = await mkdtemp(join(tmpdir(), 'tandem-shapes-'));
    cleanup.defer(() => rm(home, { recursive: true, force: true }));
    const source = new pg.Client({ connectionString: world.sourceUrl });
    await source.connect();
    cleanup.defer(() => source.end());
    const context = { env: { ...world.env, TANDEM_URL: world.apiUrl }, home };

    expect(await runCommand(catalogCheckCommand, [], context)).toMatchObject({ code: 0 });
    const { lines } = await runCommand(sourcePrepareCommand, ['--print'], context);
    expect(lines[0]).toBe('-- nothing to do: the source is prepared');

    const resources = resourcesOf(shape, world.catalog);
    const customers = await Promise.all(world.generated.accounts.slice(0, 2).map(world.createCustomer));
    const [first, second] = customers as [Customer, Customer];
    for (const customer of customers) await expectOwnRows(world, customer, resources, product.rows.rows);
    await expectOtherFormats(world, first);

    const { id } = await createExport(world, first);
    const replica = await loadExport(world, first, id);
    await expectBulk(product, [first, second], resources);
    await changeRows(source, shape, product.rows);
    let after = `after_export=${id}`;
    const differences = await differencesAfter(world, first, replica, async () => {
      after = await pullFeed(first, after, replica);
    });
    expect(differences).toEqual([]);
    const verified = await runCommand(verifyCommand, ['--rate', '1000000'], context);
    expect(verified.lines.filter((line) => line.startsWith('EQUAL'))).toHaveLength(customers.length);
    expect(verified.code).toBe(0);
  },
  900_000,
);

const byAccount = (rows: readonly ShapeRow[] | undefined, account: string) =>
  (rows ?? []).filter((row) => row.account === account);

/** Each file has as many rows as the generator gave the account. */
async function expectOwnRows(
  world: World,
  customer: Customer,
  resources: ReadonlyMap<string, ShapeTable>,
  rows: ReadonlyMap<string, readonly ShapeRow[]>,
): Promise<void> {
  const { id } = await createExport(world, customer);
  const { files = [] } = await customer.client.completedExport(id, EXPORT_LIMIT_MS);
  const found = new Map(files.map((file) => [file.resource, file.rows]));
  const expected = [...resources].map(([name, { word }]) => [
    name,
    byAccount(rows.get(word), customer.sourceId).length,
  ]);
  expect([...resources.keys()].map((name) => [name, found.get(name)])).toEqual(expected);
}

/** CSV and Parquet with the columns of the JSON Lines, and a bundle of them. */
async function expectOtherFormats(world: World, { client }: Customer): Promise<void> {
  const names = world.catalog.resources.map(({ name }) => name);
  const take = async (body: object) => {
    const { id } = await client.call<ExportView>('POST', '/exports', { resources: names, ...body });
    return (await client.completedExport(id, EXPORT_LIMIT_MS)).files ?? [];
  };
  const [plain, csv, parquet, zip] = [
    await take({}),
    await take({ format: 'csv' }),
    await take({ format: 'parquet' }),
    await take({ archive: 'zip' }),
  ];
  expect(zip.map(({ name }) => name)).toEqual(['export.zip']);
  const directory = temporaryDirectory();
  const fetched = async ({ url, name }: { url: string; name: string }) => {
    const path = join(directory, name);
    const response = await fetch(url);
    await writeFile(path, Buffer.from(await response.arrayBuffer()));
    return path;
  };
  for (const { resource, rows } of plain) {
    const of = (files: typeof plain) =>
      files.find((file) => file.resource === resource) as (typeof plain)[number];
    const [line = '{}'] = (await readFile(await fetched(of(plain)), 'utf8')).split('\n');
    const columns = Object.keys(JSON.parse(line === '' ? '{}' : line) as object);
    for (const [format, files] of [
      ['csv', csv],
      ['parquet', parquet],
    ] as const) {
      const path = quoteLiteral(await fetched(of(files)));
      const read =
        format === 'csv' ? `read_csv(${path}, header = true, all_varchar = true)` : `read_parquet(${path})`;
      expect([resource, format, await queryDuckdb(`select count(*) from ${read}`)]).toEqual([
        resource,
        format,
        [[String(rows)]],
      ]);
      if (rows === 0) continue;
      const described = await queryDuckdb(`select column_name from (describe select * from ${read})`);
      expect([resource, format, described.flat()]).toEqual([resource, format, columns]);
    }
  }
}

/** In every resource a customer's own record is changed, and another customer's is not; in one, all of them by a job. */
async function expectBulk(
  { shape, rows }: ShapeProduct,
  [own, other]: readonly [Customer, Customer],
  resources: ReadonlyMap<string, ShapeTable>,
): Promise<void> {
  const title = shape.style.columnName('title');
  const run = (body: object) =>
    own.client.call<BulkJob>('POST', '/bulk/operations', {
      operation: 'retitle',
      params: { [title]: 'by bulk' },
      ...body,
    });
  for (const [resource, table] of resources) {
    if (table.belongs === 'root') continue;
    const [mine] = byAccount(rows.rows.get(table.word), own.sourceId);
    const [theirs] = byAccount(rows.rows.get(table.word), other.sourceId);
    const result = await run({ resource, ids: [mine?.id, theirs?.id] });
    expect([resource, result.succeeded, result.failed]).toEqual([resource, 1, 1]);
  }
  const below = [...resources].filter(([, { belongs }]) => belongs === 'parent');
  const [resource, { word }] = (below[0] ?? [...resources].at(-1)) as [string, ShapeTable];
  const { job_id: id } = await run({ resource, async: true, filter: { [title]: { prefix: word } } });
  const job = await waitFor('the job to end', async () => {
    const found = await own.client.call<BulkJob>('GET', `/bulk/operations/${id}`);
    return found.status === 'running' || found.status === 'pending' ? undefined : found;
  });
  // One of them has another title by now.
  const count = byAccount(rows.rows.get(word), own.sourceId).length - 1;
  expect(job).toMatchObject({ status: 'completed', total: count, succeeded: count, failed: 0 });
}
