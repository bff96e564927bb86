import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import type { World } from '../../deploy/demo/world.ts';
import { describeRowType } from '../../shared/catalog/describe-table.ts';
import { parseLsn } from '../../shared/domain/lsn.ts';
import { quoteTable } from '../../shared/postgres/quote.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../shared/postgres/text-session.ts';
import { loadTypes } from '../../shared/values/database-types.ts';
import { toWireTexts } from '../../shared/values/json-text.ts';
import { createRecordKey } from '../../shared/values/record-key.ts';
import { openProductPool } from '../support/product-pool.ts';
import { CONFLUENT_KAFKA, findPython } from '../support/python.ts';
import { testStack } from '../support/stack.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

const python = findPython(CONFLUENT_KAFKA);

let world: World;
let source: pg.Pool;

beforeAll(async () => {
  world = await openTestWorld({
    rows: 1_000,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
    // Many chunks, so that rows come by every partition.
    env: { EXTRACTOR_CHUNK_BYTES: '100000' },
  });
  source = openProductPool({
    connectionString: world.sourceUrl,
    max: 2,
    options: TEXT_SESSION_OPTIONS,
    types: rawTypes,
  });
});

afterAll(async () => {
  await source?.end();
  await world?.[Symbol.asyncDispose]();
});

type Table = Record<string, Record<string, string | null>>;

interface Loaded {
  readonly tables: Record<string, Table>;
  readonly loaded: Record<string, number>;
  readonly applied: number;
  readonly in_snapshot: number;
}

test.skipIf(python === undefined)(
  'a warehouse that is loaded from the topics by the recipe, in Python, is the source to the last digit',
  async () => {
    const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
    const traffic = await startTraffic({
      databaseUrl: world.sourceUrl,
      accounts: world.generated.accounts,
      perSecond: 100,
      connections: 4,
      seed: 3,
    });
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(async () => void (await traffic.stop()));
    await waitFor('changes before the export', () => traffic.counts.commits > 50);
    const resources = world.catalog.resources.map(({ name }) => name);
    // One transaction is open across the snapshot: in the feed, and not in the rows.
    const spanning = await traffic.openTransaction();
    const start = (body: object) =>
      world.operator.call<ExportView>('POST', '/exports', { ...body, include_deleted: true, resources });
    const all = await start({ account_id: '*' });
    const own = await start({ account_id: customer.id });
    const ofAll = await world.operator.completedExport(all.id, 120_000);
    const ofOne = await world.operator.completedExport(own.id, 120_000);
    await spanning.commit();
    const commits = traffic.counts.commits;
    await waitFor('changes after the export', () => traffic.counts.commits > commits + 100);
    await traffic.stop();
    await feedHasPassed();

    for (const [view, account] of [
      [ofAll, null],
      [ofOne, customer.sourceId],
    ] as const) {
      const stack = testStack();
      const loaded = (await python?.read(
        '../../deploy/examples/warehouse/load_warehouse.py',
        JSON.stringify({
          brokers: stack.kafkaBrokers,
          registry: stack.schemaRegistryUrl,
          prefix: world.prefix,
          resources,
          account,
          export: view,
        }),
      )) as Loaded;
      expect(loaded.loaded).toEqual(
        Object.fromEntries((view.files ?? []).map(({ resource, rows }) => [resource, rows])),
      );
      expect(loaded.applied).toBeGreaterThan(50);
      expect(loaded.in_snapshot).toBeGreaterThan(20);
      for (const name of resources) {
        expect(differences(loaded.tables[name] ?? {}, await readTable(name, account)).slice(0, 10)).toEqual(
          [],
        );
      }
    }
  },
);

test('a schema that can not read what is there is refused by the registry', async () => {
  const { schemaRegistryUrl } = testStack();
  const subject = `${world.prefix}.rows.invoices-value`;
  const mode = await fetch(`${schemaRegistryUrl}/config/${subject}`);
  expect(await mode.json()).toMatchObject({ compatibilityLevel: 'BACKWARD' });
  const latest = (await (await fetch(`${schemaRegistryUrl}/subjects/${subject}/versions/latest`)).json()) as {
    schema: string;
  };
  const schema = JSON.parse(latest.schema) as { fields: { name: string; type: unknown }[] };
  const register = (fields: unknown[]) =>
    fetch(`${schemaRegistryUrl}/subjects/${subject}/versions`, {
      method: 'POST',
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      body: JSON.stringify({ schema: JSON.stringify({ ...schema, fields }) }),
    });
  // A new field without a default: what is there has no value for it.
  expect((await register([...schema.fields, { name: 'added', type: 'long' }])).status).toBe(409);
  expect(
    (await register([...schema.fields, { name: 'added', type: ['null', 'long'], default: null }])).status,
  ).toBe(200);
});

/** As lines, because tables of thousands of rows are beyond what an assertion can show. */
function differences(loaded: Table, source: Table): string[] {
  return [...new Set([...Object.keys(loaded), ...Object.keys(source)])].flatMap((key) => {
    const columns = new Set([...Object.keys(loaded[key] ?? {}), ...Object.keys(source[key] ?? {})]);
    return [...columns]
      .filter((column) => loaded[key]?.[column] !== source[key]?.[column])
      .map((column) => `${key} ${column}: ${loaded[key]?.[column]}, in the source ${source[key]?.[column]}`);
  });
}

/** Nothing writes any more; whatever was written is in the topic once the feed has passed the end of the WAL. */
async function feedHasPassed(): Promise<void> {
  const { rows } = await source.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  const end = parseLsn(rows[0]?.lsn ?? '');
  // Moves the feed at once; its heartbeat would in ten seconds.
  await source.query(`select pg_logical_emit_message(true, 'tandem.test', '')`);
  const control = new pg.Client({ connectionString: world.controlUrl });
  await control.connect();
  try {
    await waitFor('the feed', async () => {
      const passed = await control.query<{ lsn: string }>(
        'select passed_lsn::text as lsn from tandem.feed_state',
      );
      return parseLsn(passed.rows[0]?.lsn ?? '0/0') >= end;
    });
  } finally {
    await control.end();
  }
}

async function readTable(name: string, account: string | null): Promise<Table> {
  const resource = world.catalog.resources.find((each) => each.name === name);
  if (resource === undefined) throw new Error(`no resource ${name}`);
  const rowType = await describeRowType(source, resource, await loadTypes(source));
  const recordKey = createRecordKey(rowType, resource.key);
  const names = rowType.columns.map((column) => column.name);
  const { rows } = await source.query<(string | null)[]>({
    text: `select ${names.join(', ')} from ${quoteTable(resource.table)} where $1::text is null or ${resource.account}::text = $1`,
    values: [account],
    rowMode: 'array',
  });
  return Object.fromEntries(
    rows.map((row) => {
      const texts = toWireTexts(rowType, row);
      return [
        recordKey.ofWireTexts(texts),
        Object.fromEntries(names.map((column, index) => [column, texts[index] ?? null])),
      ];
    }),
  );
}
