import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { doctorCommand } from '../../../deploy/cli/commands/doctor.ts';
import { openWorld } from '../../../deploy/demo/world.ts';
import { startServices } from '../../../deploy/local/supervise.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { openOwnPostgres } from '../../support/own-postgres.ts';
import { runCommand } from '../../support/run-command.ts';
import { testStack } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const SERVICES = ['api', 'extractor', 'writer', 'capture', 'dispatcher', 'bulk'] as const;

const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());

/** Takes every connection that the server has left. @returns what gives them back */
async function takeAll(url: string): Promise<() => Promise<void>> {
  const held: pg.Client[] = [];
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    // The server ends with the test.
    client.on('error', () => undefined);
    try {
      await client.connect();
      held.push(client);
    } catch (error) {
      if ((error as { code?: unknown }).code !== '53300') throw error;
      return async () => void (await Promise.all(held.map((each) => each.end())));
    }
  }
}

test('services that start while the server has no connection left say so, and work once it has', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-full-'));
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }));
  const postgres = cleanup.use(await openOwnPostgres({ max_connections: '80' }));
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  const world = cleanup.use(
    await openWorld({
      stack: { databaseUrl: postgres.url('postgres'), kafkaBrokers, schemaRegistryUrl },
      directory,
      rows: 10,
      accounts: 1,
      services: { api: 1 },
      log: silentLog,
    }),
  );
  const [api] = world.services.pids('api');
  const giveBack = await takeAll(postgres.url('postgres'));

  const home = join(directory, 'late');
  const late = cleanup.use(
    await startServices({
      env: world.env,
      services: Object.fromEntries(SERVICES.map((name) => [name, 1])),
      log: silentLog,
      home,
    }),
  );
  const { lines } = await runCommand(doctorCommand, ['--json'], { env: world.env, home: '/nowhere' });
  const { checks } = JSON.parse(lines.join('')) as { checks: { what: string; fix: string | null }[] };
  expect(checks).toContainEqual(
    expect.objectContaining({ what: 'connect', fix: 'raise max_connections, or end idle sessions' }),
  );
  for (const name of SERVICES) {
    const path = join(home, 'logs', `${name}-0.log`);
    await waitFor(
      `${name} to say what is missing`,
      () => existsSync(path) && readFileSync(path, 'utf8').includes('53300'),
    );
  }

  await giveBack();
  await late.untilReady();
  // Who had its connections has lost nothing.
  await world.services.untilReady();
  expect(world.services.pids('api')).toEqual([api]);
});
