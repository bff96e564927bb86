import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import kafkajs, { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openReceiver } from '../../deploy/demo/receiver.ts';
import { createReplica } from '../../deploy/demo/replica.ts';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import { DOCUMINT } from '../../deploy/samples/products.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { openSecuredKafka, type SecuredKafka } from '../support/secured-kafka.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport } from '../support/subscriber.ts';
import { passTo } from '../support/tls-front.ts';
import { openTokenServer, type TokenServer } from '../support/token-server.ts';
import { waitFor } from '../support/wait-for.ts';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PREFIX = 'secured';
const REGISTRY_PASSWORD = 'registry-pw-5b1';
/** The shortest life that is accepted: connections take the next one after half of it. */
const TOKEN_SECONDS = 30;
/** Capture and the dispatcher; a bulk worker has no Kafka. */
const TOKEN_SERVICES = 2;

const cleanup = new AsyncDisposableStack();
let kafka: SecuredKafka;
let tokens: TokenServer;
let registryUrl: string;
let directory: string;
let world: World;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tandem-secured-world-'));
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }));
  kafka = cleanup.use(await openSecuredKafka());
  registryUrl = await openRegistryFront();
  tokens = cleanup.use(await openTokenServer(TOKEN_SECONDS));
});
afterAll(() => cleanup.disposeAsync());

/** The stack's registry behind a proxy that asks for a login, as registries are secured. */
async function openRegistryFront(): Promise<string> {
  const { href, origin, pathname } = new URL(testStack().schemaRegistryUrl);
  expect(href).toBe(`${origin}${pathname}`);
  const pass = passTo(() => origin);
  const wanted = `Basic ${Buffer.from(`tandem:${REGISTRY_PASSWORD}`).toString('base64')}`;
  const handle: RequestListener = (request, response) => {
    if (request.headers.authorization === wanted) pass(request, response);
    else
      response
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"error_code":401,"message":"login"}');
  };
  const server = createServer(handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanup.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://tandem:${REGISTRY_PASSWORD}@127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`;
}

async function run(
  script: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join(ROOT, script), ...words], {
    cwd: directory,
    env: { PATH: process.env.PATH, CATALOG: DOCUMINT.catalog, TOPIC_PREFIX: PREFIX, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanup.defer(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

const topics = (verb: string, env: Readonly<Record<string, string>>) =>
  run('deploy/cli/tandem.ts', ['topics', verb], env);

const start = (service: string, env: Readonly<Record<string, string>>) =>
  run(`services/${service}/main.ts`, [], { ...world.env, PORT: '0', HEALTH_PORT: '0', ...env });

/** What the runbook says that the services' user needs, and nothing else. */
async function grant(): Promise<void> {
  const client = new Kafka({ brokers: [kafka.internalBrokers], logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  const operations = {
    [AclResourceTypes.TOPIC]: ['READ', 'WRITE', 'DESCRIBE', 'DESCRIBE_CONFIGS'],
    [AclResourceTypes.GROUP]: ['READ', 'DESCRIBE', 'DELETE'],
    [AclResourceTypes.TRANSACTIONAL_ID]: ['WRITE', 'DESCRIBE'],
  } as const;
  await admin.createAcls({
    acl: Object.entries(operations).flatMap(([resourceType, names]) =>
      names.map((name) => ({
        resourceType: Number(resourceType),
        resourceName: `${PREFIX}.`,
        resourcePatternType: ResourcePatternTypes.PREFIXED,
        principal: 'User:tandem',
        host: '*',
        operation: AclOperationTypes[name],
        permissionType: AclPermissionTypes.ALLOW,
      })),
    ),
  });
  await admin.disconnect();
}

test('topics are created by a user that may, and one that may not is told so', async () => {
  const asTandem = kafka.env('tandem');
  const blind = await topics('apply', asTandem);
  expect(blind.output).toContain(`this Kafka user may not create topic ${PREFIX}.commands`);
  expect(blind.code).toBe(2);
  await grant();
  expect((await topics('apply', asTandem)).output).toContain('set KAFKA_CREATE_TOPICS=false');
  const planned = await topics('plan', kafka.env('admin'));
  expect(planned.output).toContain(`create       ${PREFIX}.changes: 12 partitions, 1 replicas`);
  expect(planned.code).toBe(1);
  const applied = await topics('apply', kafka.env('admin'));
  expect(applied).toMatchObject({ code: 0, output: expect.stringContaining('topics are as declared') });
  expect(await topics('plan', asTandem)).toMatchObject({ code: 0 });
});

test('every service works over TLS, by SCRAM or by tokens that end, without the right to create topics', async () => {
  world = cleanup.use(
    await openWorld({
      stack: { ...testStack(), kafkaBrokers: kafka.brokers, schemaRegistryUrl: registryUrl },
      directory,
      rows: 500,
      accounts: 2,
      services: { api: 1, extractor: 1, writer: 1 },
      log: silentLog,
      env: { ...kafka.env('tandem'), TOPIC_PREFIX: PREFIX, KAFKA_CREATE_TOPICS: 'false' },
    }),
  );
  const byToken = cleanup.use(
    await startServices({
      env: { ...world.env, ...tokens.env },
      services: { capture: 1, dispatcher: 1, bulk: 1 },
      log: silentLog,
      home: tokenHome(),
    }),
  );
  await byToken.untilReady();
  const pids = () => [...byToken.pids('capture'), ...byToken.pids('dispatcher')];
  const startedAs = pids();
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  let replica = createReplica();
  const receiver = cleanup.use(
    await openReceiver({
      onDelivery({ event }) {
        replica.apply(event);
        return { status: 204 };
      },
    }),
  );
  const { id } = await createExport(world, customer);
  replica = await loadExport(world, customer, id);
  const { secret } = await customer.client.call<{ secret: string }>('POST', '/webhooks', {
    url: receiver.url,
    events: ['*'],
    start: { after_export: id },
  });
  receiver.setSecret(secret);
  const touched = await touchInvoices(customer.sourceId, 'secured');
  expect(touched).toBeGreaterThan(0);
  expect(await differencesAfter(world, customer, replica)).toEqual([]);
  expect(receiver.counts.deliveries).toBeGreaterThanOrEqual(touched);

  // Every connection has logged in again, with another token, while changes went through it.
  const granted = tokens.granted;
  await waitFor('each process to renew its token', async () => {
    await touchInvoices(customer.sourceId, `with token ${tokens.granted}`, 3);
    expect(await differencesAfter(world, customer, replica)).toEqual([]);
    return tokens.granted >= granted + TOKEN_SERVICES;
  });
  expect(pids()).toEqual(startedAs);
}, 480_000);

async function touchInvoices(account: string, memo: string, limit = 1_000): Promise<number> {
  const client = new pg.Client({ connectionString: world.sourceUrl });
  await client.connect();
  const { rowCount } = await client.query(
    `update documint.invoices set memo = $1
     where id in (select id from documint.invoices where account_id = $2 order by id limit $3)`,
    [memo, account, limit],
  );
  await client.end();
  return rowCount ?? 0;
}

test('a wrong password, a refused token, an unknown authority, a missing topic: each service says so in one line', async () => {
  const services = ['api', 'extractor', 'writer', 'capture', 'dispatcher'];
  const wrong = 'not-the-password-9c2';
  for (const service of services) {
    const { code, output } = await start(service, { KAFKA_SASL_PASSWORD: wrong });
    const said = output.split('\n').filter((line) => line.startsWith('tandem '));
    expect(said, service).toEqual([
      `tandem ${service}: Kafka at ${kafka.brokers} refuses the login of tandem: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM, which is scram-sha-512`,
    ]);
    expect(code).toBe(2);
    expect(output).not.toContain(wrong);
  }
  // Of its own, because the services that run ask the other one.
  await using refusing = await openTokenServer(TOKEN_SECONDS);
  refusing.claims = { sub: 'tandem' };
  const unscoped = await start('capture', refusing.env);
  expect(unscoped.output).toContain(
    `Kafka at ${kafka.brokers} refuses the login of client tandem:é ({"status":"insufficient_scope"`,
  );
  expect(unscoped.code).toBe(2);
  refusing.answer = { status: 401, body: '{"error":"invalid_client"}' };
  const revoked = await start('capture', refusing.env);
  expect(revoked.output).toContain(
    `Kafka at ${kafka.brokers} takes a token: the token server ${refusing.url} refuses client tandem:é`,
  );
  expect(revoked.code).toBe(2);
  const untrusted = await start('writer', { KAFKA_SSL_CA_FILE: '' });
  expect(untrusted.output).toContain("the broker's certificate is not accepted");
  expect(untrusted.code).toBe(2);
  const missing = await start('writer', { TOPIC_PREFIX: `${PREFIX}.other` });
  expect(missing.output).toContain(
    `topic ${PREFIX}.other.commands does not exist, or this Kafka user may not see it: run \`tandem topics apply\``,
  );
  expect(missing.code).toBe(2);
  // Nine processes, one after the other.
}, 480_000);

/** Of the services that log in by token. */
const tokenHome = () => join(directory, 'by-token');

test('no secret of Kafka or the registry is in any log', () => {
  // The world's own folder is named by it, whatever the topics are called.
  const logs = [join(directory, world.prefix, 'logs'), join(tokenHome(), 'logs')];
  const text = logs
    .flatMap((folder) => readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8')))
    .join('\n');
  expect(text.match(/"service.ready"/g)?.length).toBeGreaterThanOrEqual(6);
  const shown = ['"alg":"none"', Buffer.from('{"alg":"none"}').toString('base64url')];
  for (const secret of [
    ...Object.values(kafka.passwords),
    REGISTRY_PASSWORD,
    tokens.clientSecret,
    ...shown,
  ]) {
    expect(text.includes(secret)).toBe(false);
  }
});
