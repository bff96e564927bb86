import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { NODE_FLAGS } from '../../deploy/local/supervise.ts';
import { createDocumint } from '../../deploy/samples/documint/generate-documint.ts';
import { createDatabase, testStack, topicPrefix } from '../support/stack.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { waitFor } from '../support/wait-for.ts';

const TANDEM = fileURLToPath(new URL('../../deploy/cli/tandem.ts', import.meta.url));

/** More than a start takes until it gives up by itself, so that its own words are in the failure. */
const READY_LIMIT_MS = 150_000;

/** An installation of its own on the run's parts, with DocuMint's empty tables as the source. */
async function installation(): Promise<Record<string, string>> {
  const source = await createDatabase('start_source');
  onTestFinished(source.drop);
  const control = await createDatabase('start_control');
  onTestFinished(control.drop);
  const client = new pg.Client({ connectionString: source.url });
  await client.connect();
  await createDocumint(client);
  await client.end();
  const name = topicPrefix();
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  return {
    PATH: process.env.PATH ?? '',
    TANDEM_HOME: temporaryDirectory(),
    DATABASE_URL: source.url,
    CONTROL_DATABASE_URL: control.url,
    KAFKA_BROKERS: kafkaBrokers,
    SCHEMA_REGISTRY_URL: schemaRegistryUrl,
    TOPIC_PREFIX: name,
    SLOT_NAME: name,
    PUBLICATION_NAME: name,
  };
}

function run(args: string[], env: Record<string, string>): { child: ChildProcess; lines: string[] } {
  // In a directory of its own, so that a developer's .env is not read.
  const child = spawn(process.execPath, [...NODE_FLAGS, TANDEM, ...args], {
    env,
    cwd: temporaryDirectory(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => lines.push(line));
  }
  return { child, lines };
}

/** Waits for the line, or for the command's end, which fails with what the command said. */
async function readyLine(child: ChildProcess, lines: readonly string[]): Promise<string> {
  const find = () => lines.find((line) => line.startsWith('tandem ready '));
  await waitFor('the ready line', () => find() ?? child.exitCode, READY_LIMIT_MS);
  const line = find();
  if (line === undefined) throw new Error(`tandem ended: ${lines.join('\n')}`);
  return line;
}

/** The processes that were started for this home, whoever their parent is. */
function processesOf(home: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return (
        /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, 'utf8').includes(`TANDEM_HOME=${home}\0`)
      );
    } catch {
      return false;
    }
  });
}

test(
  'one command starts all services, says where, and stops all of them when it is told to',
  async () => {
    const env = await installation();
    const { child, lines } = run(['start'], env);
    const ready = await readyLine(child, lines);
    const apiUrl = ready.replace('tandem ready ', '');
    expect((await fetch(`${apiUrl}/readyz`)).status).toBe(200);
    expect(processesOf(env.TANDEM_HOME ?? '').length).toBeGreaterThan(5);

    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await waitFor('all processes to end', () => processesOf(env.TANDEM_HOME ?? '').length === 0);
  },
  READY_LIMIT_MS + 60_000,
);

test(
  'no service outlives a command that is killed',
  async () => {
    const env = await installation();
    const { child, lines } = run(['start'], env);
    await readyLine(child, lines);
    child.kill('SIGKILL');
    await waitFor('all processes to end', () => processesOf(env.TANDEM_HOME ?? '').length === 0);
  },
  READY_LIMIT_MS + 60_000,
);

test('a source that lacks the tables ends the start with what to do, and nothing is left running', async () => {
  const env = await installation();
  const { child, lines } = run(['start'], { ...env, DATABASE_URL: env.CONTROL_DATABASE_URL ?? '' });
  expect(await once(child, 'exit')).toEqual([2, null]);
  expect(lines.join('\n')).toMatch(/^tandem start: the source cannot be prepared yet$/m);
  await waitFor('all processes to end', () => processesOf(env.TANDEM_HOME ?? '').length === 0);
});

test('a PORT that is taken is an error that names it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const { child, lines } = run(['start'], { ...(await installation()), PORT: String(port) });
  expect(await once(child, 'exit')).toEqual([2, null]);
  expect(lines.join('\n')).toContain(`PORT=${port} can't be used`);
});
