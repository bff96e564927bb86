import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { choosePort } from '../../deploy/local/ports.ts';
import { Replica, Tandem } from '../../schemas/clients/typescript/src/index.ts';
import { SqliteStore } from '../../schemas/clients/typescript/src/sqlite.ts';
import { type ClientsWorld, openClientsWorld } from '../support/clients-world.ts';
import { examplesOf } from '../support/packages.ts';
import { openProductPool } from '../support/product-pool.ts';
import { startProgram } from '../support/program.ts';
import {
  exchangeFiles,
  isFollowing,
  type ReplicaProcess,
  startKiller,
  stateOf,
  untilEqual,
} from '../support/sqlite-replicas.ts';
import { waitFor } from '../support/wait-for.ts';

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

/** Four programs are killed and started eight times; a busy machine takes its time. */
const LIMIT_MS = 300_000;

let clients: ClientsWorld;
let world: World;
let customer: Customer;
/** Where the packed clients are installed. */
let javascript: string;
let python: string | undefined;
beforeAll(async () => {
  clients = await openClientsWorld({ api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 });
  ({
    world,
    customer,
    folders: { javascript, python },
  } = clients);
});
afterAll(() => clients?.[Symbol.asyncDispose]());

const NODE = ['--disable-warning=ExperimentalWarning'];

const PULLING = `
import { Replica, Tandem } from '@tandem/client';
import { SqliteStore } from '@tandem/client/sqlite';
const { TANDEM_URL, TANDEM_KEY, REPLICA } = process.env;
const client = new Tandem({ baseUrl: TANDEM_URL, key: TANDEM_KEY });
const replica = new Replica({ client, store: new SqliteStore(REPLICA), resources: process.argv.slice(2) });
await replica.follow({ pollMs: 50, onReset: (reason) => console.log('reset: ' + reason) });
`;

const PULLING_IN_PYTHON = `
import os
import sys
from tandem_client import Replica, SqliteStore, Tandem
client = Tandem(os.environ["TANDEM_URL"], os.environ["TANDEM_KEY"])
replica = Replica(client, SqliteStore(os.environ["REPLICA"]), sys.argv[1:])
replica.follow(poll_seconds=0.05, on_reset=lambda reason: print("reset:", reason, flush=True))
`;

test(
  'replicas by pulling and by webhooks are the source, through SIGKILL and a reset',
  async () => {
    await using cleanup = new AsyncDisposableStack();
    const resources = world.catalog.resources.map(({ name }) => name);
    const replicas: ReplicaProcess[] = [];
    const keep = (name: string, command: string, args: readonly string[], cwd: string, env = {}) => {
      const file = join(cwd, `${name}.db`);
      const program = startProgram(command, [...args, ...resources], cwd, {
        ...clients.settings,
        RESOURCES: resources.join(' '),
        PYTHONPATH: cwd,
        ...env,
        REPLICA: file,
      });
      cleanup.defer(() => program.kill());
      replicas.push({ name, file, program });
    };
    const traffic = await startTraffic({
      databaseUrl: world.sourceUrl,
      accounts: world.generated.accounts,
      perSecond: 50,
      connections: 4,
      seed: 5,
    });
    cleanup.defer(async () => void (await traffic.stop()));

    writeFileSync(join(javascript, 'pulling.mjs'), PULLING);
    copyFileSync(path('deploy/examples/keep-a-replica/replica.mjs'), join(javascript, 'replica.mjs'));
    const receiver = async () => {
      // The one before may not listen yet.
      const port = String(await choosePort(18_190 + 10 * replicas.length));
      return { PORT: port, PUBLIC_URL: `http://127.0.0.1:${port}/hook` };
    };
    keep('js-pull', process.execPath, [...NODE, 'pulling.mjs'], javascript);
    const push = async (name: string, command: string, args: readonly string[], cwd: string) => {
      const killer = await startKiller(world.apiUrl, () =>
        replicas.find((each) => each.name === name)?.program.kill(),
      );
      cleanup.use(killer);
      keep(name, command, args, cwd, { ...(await receiver()), TANDEM_URL: killer.url });
      return { name, killer };
    };
    const pushing = [await push('js-push', process.execPath, [...NODE, 'replica.mjs'], javascript)];
    if (python !== undefined) {
      const readme = readFileSync(path('schemas/clients/python/README.md'), 'utf8');
      const byWebhooks = examplesOf(readme, 'python').get('Keep a replica by webhooks');
      writeFileSync(join(python, 'pulling.py'), PULLING_IN_PYTHON);
      writeFileSync(join(python, 'pushing.py'), byWebhooks ?? '');
      keep('py-pull', 'python3', ['pulling.py'], python);
      pushing.push(await push('py-push', 'python3', ['pushing.py'], python));
    }

    // The first kill comes while they load, the others while they follow.
    await waitFor('states', () => replicas.every((replica) => stateOf(replica) !== undefined));
    for (const commits of [0, 150, 300]) {
      await waitFor('changes', () => traffic.counts.commits > commits);
      for (const { program } of replicas) await program.kill();
      for (const { program } of replicas) program.start();
      await waitFor('loads', () => replicas.every((replica) => (stateOf(replica)?.shown ?? 0) > 0));
    }
    const loads = replicas.map((replica) => stateOf(replica)?.shown);
    await waitFor('more changes', () => traffic.counts.commits > 400);
    // While changes go on, and other processes follow.
    for (const { name, file } of replicas) {
      const commits = traffic.counts.commits;
      const check = await checkFile(file, resources);
      expect(check, `${name}: ${JSON.stringify(check)}`).toMatchObject({ isEqual: true, unchecked: {} });
      expect(traffic.counts.commits).toBeGreaterThan(commits);
    }
    await traffic.stop();
    await untilEqual(world, customer, replicas);
    expect(replicas.map((replica) => stateOf(replica)?.shown)).toEqual(loads);
    const client = new Tandem({ baseUrl: world.apiUrl, key: customer.key });
    expect(await client.webhooks.list().toArray()).toHaveLength(pushing.length);

    const pool = openProductPool({ connectionString: world.sourceUrl, max: 1 });
    cleanup.defer(() => pool.end());
    for (const { killer } of pushing) killer.at = { call: 'POST /exports', when: 'after' };
    await pool.query('truncate documint.line_items');
    await waitFor('resets', () =>
      replicas.every(({ program }) => program.output.includes('reset: table_truncated')),
    );
    for (const { name, killer } of pushing) {
      const { program } = replicas.find((each) => each.name === name) ?? {};
      for (const next of [
        { call: 'DELETE /webhooks/', when: 'before' },
        { call: 'DELETE /webhooks/', when: 'after' },
        { call: 'POST /webhooks', when: 'after' },
        undefined,
      ] as const) {
        await waitFor('the kill', () => killer.at === undefined && program?.child?.signalCode === 'SIGKILL');
        killer.at = next;
        program?.start();
      }
    }
    await waitFor('endpoints', () => pushing.every(({ name }) => isFollowing(replicas, name)));
    await untilEqual(world, customer, replicas);

    // An endpoint that is gone while its process does not run.
    const endpoints = await client.webhooks.list().toArray();
    expect(endpoints).toHaveLength(pushing.length);
    for (const { program } of replicas) await program.kill();
    for (const { id } of endpoints) await client.webhooks.delete(id);
    // Each language continues the other's file.
    const pulled = replicas.filter(({ name }) => name.endsWith('-pull'));
    if (pulled.length === 2) exchangeFiles(pulled.map(({ file }) => file));
    const before = replicas.map((replica) => stateOf(replica)?.shown ?? 0);
    for (const { program } of replicas) program.start();
    await pool.query("update documint.invoices set memo = 'after the endpoints are gone'");
    await waitFor('new loads', () =>
      pushing.every(({ name }) => {
        const index = replicas.findIndex((each) => each.name === name);
        return (stateOf(replicas[index] as ReplicaProcess)?.shown ?? 0) > (before[index] ?? 0);
      }),
    );
    await untilEqual(world, customer, replicas);
    const after = replicas.map((replica) => stateOf(replica)?.shown ?? 0);
    for (const replica of pulled) {
      const index = replicas.indexOf(replica);
      expect(after[index], `${replica.name} continues without a new export`).toBe(before[index]);
    }
  },
  LIMIT_MS,
);

/** Compares a replica that another process keeps with the source. */
async function checkFile(file: string, resources: readonly string[]) {
  using store = new SqliteStore(file);
  const client = new Tandem({ baseUrl: world.apiUrl, key: customer.key });
  return await new Replica({ client, store, resources }).verify();
}
