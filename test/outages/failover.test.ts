import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { expect, test } from 'vitest';
import { openReceiver } from '../../deploy/demo/receiver.ts';
import { createReplica, type FeedEvent, type Replica } from '../../deploy/demo/replica.ts';
import type { World } from '../../deploy/demo/world.ts';
import { NODE_FLAGS } from '../../deploy/local/supervise.ts';
import { parseLsn } from '../../shared/domain/lsn.ts';
import { type OwnPostgres, openOwnPostgres } from '../support/own-postgres.ts';
import { spawnService } from '../support/services.ts';
import { openSilentProxy } from '../support/silent-proxy.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport } from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

const run = promisify(execFile);

const TANDEM = fileURLToPath(new URL('../../deploy/cli/tandem.ts', import.meta.url));

async function query(url: string, text: string): Promise<Record<string, string>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, string>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** One transaction on every invoice of the account. */
function touchInvoices(world: World, memo: string): Promise<unknown> {
  return query(
    world.sourceUrl,
    `update documint.invoices set memo = '${memo}' where account_id = '${world.generated.accounts[0]}'`,
  );
}

async function promote(standby: OwnPostgres): Promise<void> {
  await standby.start();
  await query(standby.url('postgres'), 'select pg_promote(true, 60)');
}

test('a failover to a standby that lacks what was told stops the feed, and the operator brings it back', async () => {
  await using cleanup = new AsyncDisposableStack();
  const primary = cleanup.use(await openOwnPostgres());
  const standby = cleanup.use(await primary.openStandby());
  const proxy = cleanup.use(await openSilentProxy('127.0.0.1', Number(new URL(primary.url('x')).port)));
  const address = new URL(primary.url('postgres'));
  address.port = String(proxy.port);
  const directory = await mkdtemp(join(tmpdir(), 'tandem-failover-'));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const world = cleanup.use(
    await openTestWorld({
      stack: { databaseUrl: address.href },
      controlServerUrl: testStack().databaseUrl,
      directory,
      rows: 300,
      accounts: 2,
      services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
    }),
  );
  const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  const resets: FeedEvent[] = [];
  let replica: Replica = createReplica();
  let told = 0;
  const receiver = cleanup.use(
    await openReceiver({
      onDelivery({ event }) {
        told += 1;
        if (event.type === 'feed.reset') resets.push(event);
        else replica.apply(event);
        return { status: 204 };
      },
    }),
  );

  const before = await createExport(world, customer);
  replica = await loadExport(world, customer, before.id);
  const webhook = await customer.client.call<{ id: string; secret: string }>('POST', '/webhooks', {
    url: receiver.url,
    events: ['*'],
    start: { after_export: before.id },
  });
  receiver.setSecret(webhook.secret);
  await touchInvoices(world, 'before the failover');
  expect(await differencesAfter(world, customer, replica)).toEqual([]);

  // What comes now is told to the subscriber, and never gets to the standby.
  await waitFor('the standby to have all so far', async () => {
    const [row] = await query(
      primary.url('postgres'),
      'select (replay_lsn >= pg_current_wal_lsn())::text as ok from pg_stat_replication',
    );
    return row?.ok === 'true';
  });
  // As long as it is a standby nothing follows it.
  const standbyUrl = new URL(world.sourceUrl);
  standbyUrl.port = new URL(standby.url('x')).port;
  const refused = cleanup.use(spawnService('capture', { ...world.env, DATABASE_URL: standbyUrl.href }));
  expect(await once(refused.child, 'close')).toEqual([2, null]);
  expect(refused.output).toContain('hot standby');
  await standby.crash();
  const toldBefore = told;
  // More WAL than preparing the promoted standby writes, so that it stands behind what was told.
  await query(
    world.sourceUrl,
    `select pg_logical_emit_message(false, 'test.filler', repeat('x', 4000000))::text`,
  );
  await touchInvoices(world, 'lost by the failover');
  await waitFor('the subscriber to be told', () => told > toldBefore + 50);
  const [lost] = await query(world.sourceUrl, 'select pg_current_wal_lsn()::text as lsn');
  await primary.crash();
  await promote(standby);
  proxy.cut(Number(new URL(standby.url('x')).port));

  const captureLog = join(directory, world.prefix, 'logs', 'capture-0.log');
  const gapOf = (reason: string) =>
    waitFor(`capture to stop: ${reason}`, () =>
      readFileSync(captureLog, 'utf8')
        .split('\n')
        .find((line) => line.includes('"gap.possible"') && line.includes(`"reason":"${reason}"`)),
    );
  await gapOf('slot_missing');
  expect(resets).toEqual([]);

  // Not waited for in place, since the proxy on its way runs in this process.
  const prepared = await run(process.execPath, [...NODE_FLAGS, TANDEM, 'source', 'prepare'], {
    env: { PATH: process.env.PATH, ...world.env },
  });
  expect(prepared.stdout).toContain('pg_create_logical_replication_slot');
  const [stood] = await query(world.sourceUrl, 'select pg_current_wal_lsn()::text as lsn');
  expect(parseLsn(stood?.lsn ?? '')).toBeLessThan(parseLsn(lost?.lsn ?? ''));
  // A slot alone brings nothing back: the history is another one.
  const message = await gapOf('timeline_changed');
  const accepted = /ACCEPT_GAP_AFTER=([0-9A-F/]+)/.exec(message)?.[1] ?? '';

  const { child: acceptor } = cleanup.use(
    spawnService('capture', { ...world.env, ACCEPT_GAP_AFTER: accepted }),
  );
  await waitFor('a reset of each resource', () => resets.length >= world.catalog.resources.length);
  expect(new Set(resets.map(({ resource }) => resource))).toEqual(
    new Set(world.catalog.resources.map(({ name }) => name)),
  );
  const exited = once(acceptor, 'exit');
  acceptor.kill('SIGTERM');
  await exited;

  // The customer does as told: a new export, and the endpoint goes on from there.
  const after = await createExport(world, customer);
  replica = await loadExport(world, customer, after.id);
  await customer.client.call('POST', `/webhooks/${webhook.id}/replay`, { after_export: after.id });
  await touchInvoices(world, 'after the failover');
  expect(await differencesAfter(world, customer, replica)).toEqual([]);
  expect(resets).toHaveLength(world.catalog.resources.length);
  const [row] = await query(world.sourceUrl, 'select pg_current_wal_lsn()::text as lsn');
  expect(parseLsn(row?.lsn ?? '')).toBeGreaterThan(parseLsn(lost?.lsn ?? ''));
});
