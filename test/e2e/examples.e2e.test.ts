import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
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
  const start = () => {
    child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', EXAMPLE, ...resources], {
      env: {
        PATH: process.env.PATH,
        TANDEM_URL: world.apiUrl,
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

  const pool = openProductPool({ connectionString: world.sourceUrl, max: 1 });
  cleanup.defer(() => pool.end());
  await pool.query('truncate documint.line_items');
  await waitFor('the reset', () => output.includes('table_truncated'), 60_000);
  await untilEqual();
  expect(output.match(/^subscribed/gm)).toHaveLength(2);
});
