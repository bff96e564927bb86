import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { openWorld } from '../../deploy/demo/world.ts';
import { createChildGroup } from '../../deploy/local/child-group.ts';
import { fetchJars } from '../../deploy/local/fetch-jars.ts';
import { findJava } from '../../deploy/local/java.ts';
import { startRegistry } from '../../deploy/local/registry.ts';
import type { ServiceName } from '../../deploy/local/supervise.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { openOwnKafka } from '../support/own-kafka.ts';
import { rawKafka } from '../support/raw-kafka.ts';
import { openSilentProxy } from '../support/silent-proxy.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { waitFor } from '../support/wait-for.ts';

/** A registry and five services start two or three times. */
const LIMIT_MS = 600_000;

const SERVICES: readonly ServiceName[] = ['api', 'extractor', 'writer', 'capture', 'dispatcher'];

interface OwnRegistry extends AsyncDisposable {
  readonly url: string;
  /** Its topics are deleted, and it starts with nothing: its IDs begin again. */
  empty(): Promise<void>;
}

async function openOwnRegistry(home: string): Promise<OwnRegistry> {
  await using unlessStarted = new AsyncDisposableStack();
  const kafka = unlessStarted.use(await openOwnKafka());
  const group = unlessStarted.use(createChildGroup(join(home, 'run')));
  const { registryDirectory } = await fetchJars(process.env, () => undefined);
  const run = () =>
    startRegistry({
      group,
      logPath: join(home, 'registry.log'),
      java: findJava(process.env),
      directory: registryDirectory,
      kafkaBrokers: kafka.brokers,
    });
  let registry = await run();
  const proxy = unlessStarted.use(await openSilentProxy('127.0.0.1', Number(new URL(registry.url).port)));
  const url = new URL(registry.url);
  url.port = String(proxy.port);
  const owned = unlessStarted.move();
  return {
    url: url.href,
    async empty() {
      registry.child.kill('SIGKILL');
      await registry.child.exited;
      const admin = rawKafka(kafka.brokers).admin();
      await admin.connect();
      const topics = (await admin.listTopics()).filter((name) => !name.startsWith('__'));
      expect(topics).not.toEqual([]);
      await admin.deleteTopics({ topics });
      await admin.disconnect();
      registry = await run();
      expect(await (await fetch(`${registry.url}/subjects`)).json()).toEqual([]);
      proxy.cut(Number(new URL(registry.url).port));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function openBed() {
  await using unlessOpen = new AsyncDisposableStack();
  const directory = temporaryDirectory();
  const registry = unlessOpen.use(await openOwnRegistry(directory));
  const world = unlessOpen.use(
    await openWorld({
      stack: { ...testStack(), schemaRegistryUrl: registry.url },
      directory,
      rows: 300,
      accounts: 2,
      services: Object.fromEntries(SERVICES.map((name) => [name, 1])),
      log: silentLog,
    }),
  );
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const product = unlessOpen.adopt(new pg.Pool({ connectionString: world.sourceUrl, max: 1 }), (pool) =>
    pool.end(),
  );
  const owned = unlessOpen.move();
  return {
    registry,
    world,
    customer,
    logOf: (name: ServiceName) =>
      readFileSync(join(directory, world.prefix, 'logs', `${name}-0.log`), 'utf8'),
    /** One transaction on every invoice and every customer of the account: of two schemas. */
    async change(text: string) {
      for (const [table, column] of [
        ['invoices', 'memo'],
        ['customers', 'name'],
      ]) {
        const sql = `update documint.${table} set ${column} = $1 where account_id = $2`;
        await product.query(sql, [text, customer.sourceId]);
      }
    },
    /** An export, the feed after it, and `between` in between: what is wrong with the replica. */
    async follow(between: (replica: { follow(): Promise<string[]> }) => Promise<void>): Promise<string[]> {
      const { id } = await createExport(world, customer);
      const replica = await loadExport(world, customer, id);
      let after = `after_export=${id}`;
      const follow = () =>
        differencesAfter(world, customer, replica, async () => {
          after = await pullFeed(customer, after, replica);
        });
      await between({ follow });
      return follow();
    },
    /** All at once, as after a deployment. */
    async restart() {
      const pids = () => SERVICES.map((name) => world.services.pids(name)[0]);
      const before = pids();
      for (const name of SERVICES) world.services.kill(name, 0, 'SIGTERM');
      await waitFor('every process to be another one', () =>
        pids().every((pid, index) => pid !== undefined && pid !== before[index]),
      );
      await world.services.untilReady();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

test(
  'a registry that lost all schemas is told of, has again what is written with, and no record is misread',
  async () => {
    await using bed = await openBed();
    const faults = await bed.follow(async (replica) => {
      await bed.change('before');
      expect(await replica.follow()).toEqual([]);
      await bed.registry.empty();
      // Read by those who know the schemas.
      await bed.change('at once');
      expect(await replica.follow()).toEqual([]);
      for (const name of ['api', 'extractor', 'writer', 'capture'] as const) {
        await waitFor(`${name} to tell of it`, () => bed.logOf(name).includes('"event":"schemas.lost"'));
      }
      // With other IDs, which readers have under other schemas.
      await bed.change('after');
      expect(await replica.follow()).toEqual([]);
      await bed.restart();
      await bed.change('by those who start now');
    });
    expect(faults).toEqual([]);
    expect(await bed.follow(() => bed.change('a new export'))).toEqual([]);
  },
  LIMIT_MS,
);

test(
  'services that start after it say what they cannot read, and go on once the topics are deleted',
  async () => {
    await using bed = await openBed();
    const { world, customer } = bed;
    expect(await bed.follow(() => bed.change('before'))).toEqual([]);
    const { id } = await createExport(world, customer);
    await customer.client.completedExport(id, 120_000);
    for (const name of SERVICES) world.services.kill(name, 0, 'SIGSTOP');
    await bed.registry.empty();
    for (const name of SERVICES) world.services.kill(name, 0, 'SIGKILL');
    await bed.change('while nobody ran');
    // Others have registered theirs meanwhile.
    await waitFor('capture to say what it cannot read', () =>
      /"service.failed".*(the schema registry has no schema|a CaptureState cannot be read)/.test(
        bed.logOf('capture'),
      ),
    );
    // As the runbook has it.
    const admin = rawKafka(world.env.KAFKA_BROKERS ?? '').admin();
    await admin.connect();
    const { declarations } = topicsOf(world.prefix, world.catalog);
    await admin.deleteTopics({ topics: declarations.map(({ name }) => name) });
    await admin.disconnect();
    await bed.restart();
    expect(await bed.follow(() => bed.change('after'))).toEqual([]);
  },
  LIMIT_MS,
);
