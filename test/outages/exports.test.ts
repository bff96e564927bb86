import { tmpdir } from 'node:os';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { type Customer, openWorld, type World } from '../../deploy/demo/world.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { type OwnKafka, openOwnKafka } from '../support/own-kafka.ts';
import { type OwnPostgres, openOwnPostgres } from '../support/own-postgres.ts';
import { openSilentProxy, type SilentProxy } from '../support/silent-proxy.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesNow, loadExport } from '../support/subscriber.ts';
import { waitFor } from '../support/wait-for.ts';

const cleanup = new AsyncDisposableStack();
let source: OwnPostgres;
let kafka: OwnKafka;
let registry: SilentProxy;
let registryPort: number;
let world: World;
let customer: Customer;

beforeAll(async () => {
  const stack = testStack();
  [source, kafka] = await Promise.all([openOwnPostgres({ wal_level: 'logical' }), openOwnKafka()]);
  cleanup.use(source);
  cleanup.use(kafka);
  const registryUrl = new URL(stack.schemaRegistryUrl);
  registryPort = Number(registryUrl.port);
  registry = cleanup.use(await openSilentProxy(registryUrl.hostname, registryPort));
  registryUrl.port = String(registry.port);
  world = cleanup.use(
    await openWorld({
      stack: {
        databaseUrl: source.url('postgres'),
        kafkaBrokers: kafka.brokers,
        schemaRegistryUrl: registryUrl.href,
      },
      controlServerUrl: stack.databaseUrl,
      directory: tmpdir(),
      rows: 10_000,
      accounts: 2,
      mainAccountShare: 0.9,
      services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
      log: silentLog,
      // Many chunks, so that the outage comes between and amid them.
      env: { EXTRACTOR_CHUNK_BYTES: '1', EXTRACTOR_MAX_CHUNKS: '1', EXTRACTOR_CHUNK_WINDOW: '2' },
    }),
  );
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
});
afterAll(() => cleanup.disposeAsync());

const view = (id: string) => customer.client.call<ExportView>('GET', `/exports/${id}`);

/** Slower than any machine, so that an outage comes while rows are read. */
const ROWS_PER_SECOND = 5_000;

/** An export that has read some of its rows, and not all. */
async function startReading(): Promise<ExportView> {
  const { id } = await customer.client.call<ExportView>('POST', '/exports', {
    resources: world.catalog.resources.map(({ name }) => name),
    max_rows_per_second: ROWS_PER_SECOND,
  });
  const found = await waitFor('rows to be read', async () => {
    const standing = await view(id);
    return standing.rows.extracted > 0 ? standing : undefined;
  });
  expect(found.status).toBe('running');
  return found;
}

/** The export is the source, which nobody writes to, and nothing of it is left in the source or beside the files. */
async function expectWhole(id: string): Promise<void> {
  const replica = await loadExport(world, customer, id);
  expect(await differencesNow(world, customer, replica)).toEqual([]);
  const client = new pg.Client({ connectionString: world.sourceUrl });
  await client.connect();
  try {
    await waitFor('its sessions to be gone', async () => {
      const { rowCount } = await client.query(
        "select from pg_stat_activity where application_name like 'tandem extractor %' || $1",
        [id],
      );
      return rowCount === 0;
    });
  } finally {
    await client.end();
  }
}

test('an export whose source is stopped at once and started again in mid-read begins again, and completes', async () => {
  const before = await startReading();
  await source.crash();
  await source.start();
  await expectWhole(before.id);
  expect((await view(before.id)).snapshot).not.toEqual(before.snapshot);
});

test('an export whose broker is killed in mid-read goes on under its snapshot when it is back', async () => {
  const before = await startReading();
  await kafka.kill();
  await kafka.start();
  await expectWhole(before.id);
  expect((await view(before.id)).snapshot).toEqual(before.snapshot);
});

test('an export for which the schema registry is away, and services that start meanwhile, waits for it', async () => {
  // Nobody listens there, so that each connection ends at once.
  registry.cut(1);
  for (const name of ['extractor', 'writer'] as const) world.services.kill(name, 0, 'SIGKILL');
  const { id } = await createExport(world, customer);
  await waitFor('it to have been begun', async () => (await view(id)).snapshot);
  expect((await view(id)).rows.extracted).toBe(0);
  registry.cut(registryPort);
  await expectWhole(id);
});
