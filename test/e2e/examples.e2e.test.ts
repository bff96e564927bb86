import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareWithSource } from '../../deploy/demo/compare.ts';
import { createReplica } from '../../deploy/demo/replica.ts';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import { choosePort } from '../../deploy/local/ports.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { openProductPool } from '../support/product-pool.ts';
import { testStack } from '../support/stack.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { waitFor } from '../support/wait-for.ts';

const EXAMPLE = fileURLToPath(new URL('../../deploy/examples/keep-a-replica/replica.mjs', import.meta.url));

let world: World;

beforeAll(async () => {
  world = await openWorld({
    stack: testStack(),
    directory: tmpdir(),
    rows: 1_000,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
    log: silentLog,
  });
});

afterAll(() => world?.[Symbol.asyncDispose]());

test('the example that keeps a replica is the source, also when it is killed, and after a reset', async () => {
  await using cleanup = new AsyncDisposableStack();
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const resources = world.catalog.resources.map(({ name }) => name);
  const path = join(temporaryDirectory(), 'replica.db');
  const port = String(await choosePort(18_090));
  let output = '';
  let child: ChildProcess | undefined;
  const calls: string[] = [];
  /** Kills the example at its next call of this kind: before the API has it, or before the response is back. */
  let killAt: { call: string; when: 'before' | 'after' } | undefined;
  const proxy = await startProxy(world.apiUrl, async (call, forward) => {
    calls.push(call);
    const found = killAt !== undefined && call.startsWith(killAt.call) ? killAt : undefined;
    if (found?.when !== 'before') await forward();
    if (found === undefined) return;
    killAt = undefined;
    await kill();
  });
  cleanup.use(proxy);
  const start = () => {
    child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', EXAMPLE, ...resources], {
      env: {
        PATH: process.env.PATH,
        TANDEM_URL: proxy.url,
        TANDEM_KEY: customer.key,
        PUBLIC_URL: `http://127.0.0.1:${port}/hook`,
        PORT: port,
        REPLICA: path,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (output += data));
  };
  const kill = async () => {
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  cleanup.defer(kill);

  const differences = async () => {
    using db = new DatabaseSync(path, { readOnly: true });
    const replica = createReplica();
    for (const { resource, key, data } of db.prepare('select resource, key, data from records').all()) {
      (replica.records(String(resource)) as Map<string, string>).set(String(key), String(data));
    }
    const found = await compareWithSource(world.sourceUrl, world.catalog, customer.sourceId, replica);
    return found.differences;
  };
  const untilEqual = async () => {
    let last: readonly string[] = [];
    await waitFor(
      'the replica to be the source',
      async () => {
        last = await differences();
        return last.length === 0;
      },
      60_000,
    ).catch((cause: unknown) => {
      throw new Error(`${last.slice(0, 5).join('\n')}\n${output}`, { cause });
    });
  };

  const traffic = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: world.generated.accounts,
    perSecond: 50,
    connections: 4,
    seed: 5,
  });
  cleanup.defer(async () => void (await traffic.stop()));
  start();
  await waitFor('the subscription', () => output.includes('subscribed'), 60_000);
  for (const commits of [100, 200]) {
    await waitFor('changes', () => traffic.counts.commits > commits);
    await kill();
    start();
  }
  await waitFor('more changes', () => traffic.counts.commits > 300);
  await traffic.stop();
  await untilEqual();
  expect(calls.filter((call) => call.startsWith('POST'))).toEqual(['POST /exports', 'POST /webhooks']);

  const pool = openProductPool({ connectionString: world.sourceUrl, max: 1 });
  cleanup.defer(() => pool.end());
  killAt = { call: 'DELETE /webhooks/', when: 'before' };
  await pool.query('truncate documint.line_items');
  await waitFor('the reset', () => output.includes('table_truncated'), 60_000);
  for (const next of [
    { call: 'DELETE /webhooks/', when: 'after' },
    { call: 'POST /exports', when: 'after' },
    { call: 'POST /webhooks', when: 'after' },
  ] as const) {
    await waitFor('the kill', () => killAt === undefined && child?.signalCode === 'SIGKILL', 60_000);
    killAt = next;
    start();
  }
  await waitFor('the last kill', () => killAt === undefined && child?.signalCode === 'SIGKILL', 60_000);
  start();
  await waitFor('the second subscription', () => output.match(/^subscribed/gm)?.length === 2, 60_000);
  await untilEqual();

  // An endpoint that is gone while the example is not running.
  await kill();
  const { data: webhooks } = await customer.client.call<{ data: { id: string }[] }>('GET', '/webhooks');
  expect(webhooks).toHaveLength(1);
  await customer.client.call('DELETE', `/webhooks/${webhooks[0]?.id}`);
  start();
  await waitFor('the third subscription', () => output.match(/^subscribed/gm)?.length === 3, 60_000);
  await untilEqual();
});

interface Proxy extends AsyncDisposable {
  readonly url: string;
}

/** @param around runs with every call, such as `POST /exports`; `forward` sends it and has its response */
async function startProxy(
  target: string,
  around: (call: string, forward: () => Promise<void>) => Promise<void>,
): Promise<Proxy> {
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const { method = '', url = '', headers } = request;
    await around(`${method} ${url}`, async () => {
      const given = await fetch(`${target}${url}`, {
        method,
        headers: {
          authorization: String(headers.authorization),
          'content-type': 'application/json',
          ...(headers['idempotency-key'] && { 'idempotency-key': String(headers['idempotency-key']) }),
        },
        ...(body.length === 0 ? {} : { body }),
      });
      response.statusCode = given.status;
      response.write(await given.text());
    });
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
