import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createSilentServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { doctorCommand } from '../../../deploy/cli/commands/doctor.ts';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { createDocumint } from '../../../deploy/samples/documint/generate-documint.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { migrate } from '../../../shared/control/migrate.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { topicsOf } from '../../../shared/kafka/topics.ts';
import type { Env } from '../../../shared/runtime/env.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { rawKafka } from '../../support/raw-kafka.ts';
import { runCommand } from '../../support/run-command.ts';
import { createDatabase, type TestDatabase, testStack, topicPrefix } from '../../support/stack.ts';
import { makeTopics } from '../../support/topic-reader.ts';

const CATALOG = fileURLToPath(new URL('../../../schemas/catalogs/documint.yaml', import.meta.url));

const cleanup = new AsyncDisposableStack();
const prefix = topicPrefix();
let source: TestDatabase;
let control: TestDatabase;
let pool: pg.Pool;
let env: Env;
/** Takes connections, and says nothing. */
let silentPort: number;

beforeAll(async () => {
  source = cleanup.use(await createDatabase('doctor_source'));
  control = cleanup.use(await createDatabase('doctor_control'));
  pool = openProductPool({ connectionString: source.url, max: 3 });
  cleanup.defer(() => pool.end());
  await createDocumint(pool);
  const names = { publication: prefix, slot: prefix };
  // Other tests have transactions open on this server, which a slot waits for.
  await prepareSource(pool, await loadCatalog(CATALOG), names, { limits: { slotTimeoutMs: 240_000 } });
  const controlPool = openProductPool({ connectionString: control.url, max: 1 });
  await migrate(controlPool);
  await controlPool.end();
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  const admin = rawKafka(kafkaBrokers).admin();
  await admin.connect();
  const { declarations } = topicsOf(prefix, await loadCatalog(CATALOG));
  await ensureTopics(admin, declarations);
  cleanup.defer(async () => {
    await admin.deleteTopics({ topics: declarations.map(({ name }) => name) });
    await admin.disconnect();
  });
  const api: Server = createServer((_request, response) => response.end('{}'));
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  cleanup.defer(() => void api.close());
  const silent = createSilentServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  cleanup.defer(() => void silent.close());
  silentPort = (silent.address() as AddressInfo).port;
  const directory = mkdtempSync(join(tmpdir(), 'doctor-'));
  cleanup.defer(() => rmSync(directory, { recursive: true }));
  env = {
    DATABASE_URL: source.url,
    CONTROL_DATABASE_URL: control.url,
    KAFKA_BROKERS: kafkaBrokers,
    SCHEMA_REGISTRY_URL: schemaRegistryUrl,
    STORAGE_URL: pathToFileURL(directory).href,
    CATALOG,
    TOPIC_PREFIX: prefix,
    SLOT_NAME: prefix,
    PUBLICATION_NAME: prefix,
    ADMIN_KEY: 'a-key-of-the-operator',
    SECRET_KEY: 'a key of thirty-two characters!!',
    PUBLIC_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}`,
  };
});
afterAll(() => cleanup.disposeAsync());

interface Check {
  readonly area: string;
  readonly what: string;
  readonly status: string;
  readonly detail: string;
  readonly fix: string | null;
}

async function examine(changed: Env = {}, ...words: string[]) {
  const { code, lines } = await runCommand(doctorCommand, ['--json', ...words], {
    env: { ...env, ...changed },
    home: '/nowhere',
  });
  const { checks } = JSON.parse(lines.join('')) as { checks: Check[] };
  const failures = checks.filter(({ status }) => status === 'failure');
  return {
    code,
    checks,
    failures,
    of: (area: string, what: string) => checks.filter((one) => one.area === area && one.what === what),
  };
}

test('a set-up in which everything is right passes, with warnings of what is not started yet, and stays as it was', async () => {
  const before = await pool.query('select count(*)::int as count from documint.invoices');
  const { code, checks, failures } = await examine();
  expect(failures).toEqual([]);
  expect(code).toBe(0);
  const areas = [...new Set(checks.map(({ area }) => area))].sort();
  expect(areas).toEqual(['control store', 'kafka', 'machine', 'registry', 'settings', 'source', 'storage']);
  const warnings = checks.filter(
    ({ status, what }) => status === 'warning' && !/disk|connections/.test(what),
  );
  expect(warnings).toEqual([
    expect.objectContaining({ area: 'source', what: 'slot', detail: expect.stringMatching(/nobody reads/) }),
  ]);
  expect(warnings[0]?.fix).toMatch(/Start capture/);
  expect((await pool.query('select count(*)::int as count from documint.invoices')).rows).toEqual(
    before.rows,
  );
  expect(checks.find(({ area, what }) => area === 'kafka' && what === 'version')).toMatchObject({
    status: 'ok',
    detail: 'all brokers speak as Kafka 4.0 or later',
  });
  const { lines } = await runCommand(doctorCommand, [], { env, home: '/nowhere' });
  expect(lines.join('\n')).toMatch(/^ok +storage: read +\d+ bytes as written$/m);
  expect(lines.join('\n')).toMatch(/^ +→ Start capture/m);
});

test('servers that are not there are reported with what to do, each by itself', async () => {
  const { code, of } = await examine(
    {
      DATABASE_URL: 'postgres://app:a-password@127.0.0.1:1/product',
      CONTROL_DATABASE_URL: control.url.replace(/\/[^/]*$/, '/no_such_database'),
      KAFKA_BROKERS: '127.0.0.1:1',
      SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1',
      STORAGE_URL: 'file:///proc/nowhere',
      PUBLIC_URL: 'http://no-such-host.invalid',
    },
    '--timeout',
    '5',
  );
  expect(code).toBe(1);
  expect(of('source', 'connect')).toEqual([
    expect.objectContaining({ status: 'failure', fix: expect.stringMatching(/start PostgreSQL/) }),
  ]);
  expect(of('control store', 'connect')).toEqual([
    expect.objectContaining({
      status: 'failure',
      fix: expect.stringMatching(/create the database.*CONTROL_DATABASE_URL/),
    }),
  ]);
  expect(of('kafka', 'brokers')[0]).toMatchObject({
    status: 'failure',
    detail: expect.stringMatching(/127\.0\.0\.1:1/),
  });
  expect(of('kafka', 'connect')[0]).toMatchObject({
    status: 'failure',
    fix: expect.stringMatching(/KAFKA_SSL/),
  });
  expect(of('registry', 'connect')[0]).toMatchObject({ status: 'failure' });
  expect(of('storage', 'open')[0]).toMatchObject({
    status: 'failure',
    fix: expect.stringMatching(/STORAGE_URL/),
  });
  expect(of('machine', 'DNS of the public URL')[0]).toMatchObject({ status: 'failure' });
});

test('a registry that has none of the schemas that the feed needs was emptied', async () => {
  expect((await examine()).of('registry', 'connect')[0]).toMatchObject({ status: 'ok' });
  const store = openProductPool({ connectionString: control.url, max: 1 });
  try {
    await store.query("insert into tandem.feed_state values (true, '0/1', '0/1', '1', 1, now(), null, null)");
    const { code, of } = await examine();
    expect(code).toBe(1);
    expect(of('registry', 'connect')).toEqual([
      expect.objectContaining({
        status: 'failure',
        detail: expect.stringMatching(/0 of \d+ subjects .*was emptied/),
        fix: expect.stringMatching(/The registry is empty/),
      }),
    ]);
  } finally {
    await store.query('delete from tandem.feed_state');
    await store.end();
  }
});

test('servers that take a connection and then say nothing cost one time limit, side by side', async () => {
  const startedAtMs = performance.now();
  const at = `127.0.0.1:${silentPort}`;
  const { code, of } = await examine(
    {
      DATABASE_URL: `postgres://app@${at}/product?sslmode=disable`,
      CONTROL_DATABASE_URL: `postgres://app@${at}/product?sslmode=disable`,
      KAFKA_BROKERS: at,
      SCHEMA_REGISTRY_URL: `http://${at}`,
      PUBLIC_URL: `http://${at}`,
    },
    '--timeout',
    '3',
  );
  expect(code).toBe(1);
  for (const area of ['source', 'control store', 'kafka', 'registry']) {
    expect(of(area, 'connect')).toEqual([expect.objectContaining({ status: 'failure' })]);
  }
  expect(of('machine', 'public URL')).toEqual([expect.objectContaining({ status: 'failure' })]);
  // One after the other they would take fifteen.
  expect(performance.now() - startedAtMs).toBeLessThan(12_000);
});

test('settings, a role, tables, topics, migrations and rights that do not fit are each reported', async () => {
  const role = `doctor_${prefix}`;
  const other = topicPrefix();
  const admin = new pg.Client({ connectionString: testStack().databaseUrl });
  await admin.connect();
  cleanup.defer(() => admin.end());
  await admin.query(`create role ${role} login password 'a-role-password'`);
  cleanup.defer(async () => {
    for (const database of [source, control]) {
      const own = new pg.Client({ connectionString: database.url });
      await own.connect();
      await own.query(`drop owned by ${role}`);
      await own.end();
    }
    await admin.query(`drop role ${role}`);
  });
  const as = (url: string) => {
    const changed = new URL(url);
    changed.username = role;
    changed.password = 'a-role-password';
    return changed.href;
  };
  const kafka = rawKafka(testStack().kafkaBrokers).admin();
  await kafka.connect();
  const topic = `${other}.changes`;
  const configEntries = [{ name: 'max.message.bytes', value: '1000' }];
  await makeTopics(kafka, [{ topic, numPartitions: 1, configEntries }]);
  cleanup.defer(async () => {
    await kafka.deleteTopics({ topics: [topic] });
    await kafka.disconnect();
  });
  const control2 = cleanup.use(await createDatabase('doctor_behind'));
  const { code, failures, of } = await examine({
    DATABASE_URL: as(source.url),
    CONTROL_DATABASE_URL: as(control.url),
    TOPIC_PREFIX: other,
    SLOT_NAME: other,
    WRITER_MAX_ASSEMBLIES: '99',
  });
  expect(code).toBe(1);
  expect(of('settings', 'read')).toEqual([
    expect.objectContaining({
      detail: expect.stringMatching(/WRITER_MAX_ASSEMBLIES/),
      fix: expect.stringMatching(/config list/),
    }),
  ]);
  expect(of('source', 'replication session')).toEqual([
    expect.objectContaining({ status: 'failure', fix: expect.stringMatching(/ALTER ROLE .* REPLICATION/) }),
  ]);
  expect(of('source', 'catalog').map(({ detail }) => detail)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^invoices: /)]),
  );
  expect(of('source', 'slot')).toEqual([
    expect.objectContaining({ detail: expect.stringMatching(/does not exist/) }),
  ]);
  expect(of('kafka', 'topics').map(({ detail }) => detail)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/has 1 partitions, and 12 are needed/),
      expect.stringMatching(/do not exist/),
      expect.stringMatching(/a change may have 1000 bytes/),
    ]),
  );
  expect(of('control store', 'rights')).toEqual([expect.objectContaining({ status: 'failure' })]);
  expect(JSON.stringify(failures)).not.toContain('a-role-password');

  const empty = await examine({ CONTROL_DATABASE_URL: control2.url });
  expect(empty.of('control store', 'migrations')).toEqual([
    expect.objectContaining({ status: 'warning', detail: expect.stringMatching(/empty/) }),
  ]);
  const behind = openProductPool({ connectionString: control2.url, max: 1 });
  await migrate(behind);
  await behind.query('delete from tandem.migrations where name = (select max(name) from tandem.migrations)');
  await behind.end();
  const pending = await examine({ CONTROL_DATABASE_URL: control2.url });
  expect(pending.of('control store', 'migrations')).toEqual([
    expect.objectContaining({ status: 'failure', fix: expect.stringMatching(/migrate apply/) }),
  ]);
});

test('a broker whose clock differs from capture’s is named', async () => {
  expect((await examine()).of('kafka', 'clock')).toEqual([expect.objectContaining({ status: 'ok' })]);
  const producer = rawKafka(testStack().kafkaBrokers).producer({
    transactionalId: `${prefix}.clock`,
    maxInFlightRequests: 1,
    idempotent: true,
  });
  await producer.connect();
  const publish = async (aheadMs: number) => {
    const transaction = await producer.transaction();
    const message = { key: 'clock', value: 'v', timestamp: String(Date.now() + aheadMs) };
    await transaction.send({ topic: `${prefix}.capture`, messages: [message] });
    await transaction.commit();
  };
  await publish(600_000);
  await publish(600_000);
  const behind = (await examine()).of('kafka', 'clock');
  await producer.disconnect();
  expect(behind).toEqual([
    expect.objectContaining({
      status: 'warning',
      detail: expect.stringMatching(/^the clock of broker 1 is at least (599|600)\.\d s behind capture's/),
      fix: expect.stringMatching(/NTP/),
    }),
  ]);
});
