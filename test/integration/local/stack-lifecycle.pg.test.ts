import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { identifyProcess } from '../../../deploy/local/run-processes.ts';
import { startStack } from '../../../deploy/local/stack.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { testStack } from '../../support/stack.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { waitFor } from '../../support/wait-for.ts';

const PARENT = fileURLToPath(new URL('../../support/parent-process.ts', import.meta.url));

/** Only PostgreSQL is started: it is the part with children of its own, and the quickest. */
function postgresOnly() {
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  return {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    KAFKA_BROKERS: kafkaBrokers,
    SCHEMA_REGISTRY_URL: schemaRegistryUrl,
  };
}

async function startParent(
  home: string,
): Promise<{ parent: ChildProcess; pids: number[]; databaseUrl: string }> {
  const parent = spawn(process.execPath, [PARENT, 'stack', home], {
    env: postgresOnly(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [line] = await once(createInterface(parent.stdout), 'line');
  return { parent, ...JSON.parse(String(line)) };
}

/** All processes whose parent this is, from /proc. */
function childrenOf(parentPid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(parentPid);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function queryOne(url: string, text: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows[0];
  } finally {
    await client.end();
  }
}

test('PostgreSQL and its children end when the process that started them is killed, and its data is there at the next start', async () => {
  const home = temporaryDirectory();
  const { parent, pids, databaseUrl } = await startParent(home);
  const postgres = pids[0] ?? 0;
  const all = [postgres, ...childrenOf(postgres)];
  expect(all.length).toBeGreaterThan(3);
  await queryOne(databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');

  parent.kill('SIGKILL');
  await waitFor('PostgreSQL to end', () => all.every((pid) => identifyProcess(pid) === null));

  await using stack = await startStack({ home, env: postgresOnly(), log: silentLog });
  expect(await queryOne(stack.databaseUrl, 'SELECT answer FROM kept')).toEqual({ answer: 42 });
  expect(await queryOne(stack.databaseUrl, 'SHOW wal_level')).toEqual({ wal_level: 'logical' });
});

test('a second start in the same home is refused while the first one runs', async () => {
  const home = temporaryDirectory();
  await using _stack = await startStack({ home, env: postgresOnly(), log: silentLog });
  const second = startStack({ home, env: postgresOnly(), log: silentLog });
  await expect(second).rejects.toThrow(SetupError);
  await expect(second).rejects.toThrow(/another process runs the local stack in .*TANDEM_HOME/);
});

test('a part that dies is told to whoever started the stack', async () => {
  const home = temporaryDirectory();
  await using stack = await startStack({ home, env: postgresOnly(), log: silentLog });
  stack.startedHere.postgres?.kill('SIGKILL');
  expect(await stack.failed).toMatchObject({ part: 'postgres', exit: { signal: 'SIGKILL' } });
});
