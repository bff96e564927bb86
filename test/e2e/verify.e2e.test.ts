import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyCommand } from '../../deploy/cli/commands/verify.ts';
import { startTraffic, type Traffic } from '../../deploy/demo/traffic.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { openProductPool } from '../support/product-pool.ts';
import { runCommand } from '../support/run-command.ts';
import { createExport } from '../support/subscriber.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

let world: World;
let customer: Customer;
let traffic: Traffic;
let otherTraffic: Traffic;
let source: pg.Pool;
let control: pg.Pool;
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tandem-verify-'));
  world = await openTestWorld({
    rows: 2_000,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
  });
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  source = openProductPool({ connectionString: world.sourceUrl, max: 2 });
  control = openProductPool({ connectionString: world.controlUrl, max: 2 });
  const [account = '', other = ''] = world.generated.accounts;
  const options = { databaseUrl: world.sourceUrl, connections: 2, seed: 7 };
  traffic = await startTraffic({ ...options, accounts: [account, other], perSecond: 80 });
  // On an idle database the feed moves by its heartbeat only, every ten seconds.
  otherTraffic = await startTraffic({ ...options, accounts: [other], perSecond: 20 });
});

afterAll(async () => {
  await Promise.all([traffic?.stop(), otherTraffic?.stop()]);
  await Promise.all([source?.end(), control?.end()]);
  await world?.[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

async function verify(...given: (string | Env)[]): Promise<{ code: number; output: string }> {
  const args = given.filter((each) => typeof each === 'string');
  const settings = Object.assign({}, ...given.filter((each) => typeof each !== 'string'));
  const context = { env: { ...world.env, TANDEM_URL: world.apiUrl, ...settings }, home };
  const { code, lines } = await runCommand(verifyCommand, args, context).catch((error: unknown) => {
    // The command's own caller shows it, and ends with 2.
    if (error instanceof SetupError) return { code: 2, lines: [error.message, ...error.findings] };
    throw error;
  });
  return { code, output: `${lines.join('\n')}\n` };
}

test('a TOPIC_PREFIX that is not that of the services is told, and not waited for', async () => {
  const { code, output } = await verify({ TOPIC_PREFIX: 'elsewhere' });
  expect([code, output]).toEqual([2, expect.stringContaining('TOPIC_PREFIX is elsewhere here')]);
});

/** An invoice that is there, changed by nobody else from now on: the traffic has ended. */
async function someInvoice(): Promise<string> {
  const { rows } = await source.query<{ id: string }>(
    'select id::text from documint.invoices where account_id = $1 and deleted_at is null order by id limit 1',
    [customer.sourceId],
  );
  return rows[0]?.id ?? '';
}

async function eventOf(id: string, condition: string): Promise<string> {
  let position = '';
  await waitFor('the event', async () => {
    const { rows } = await control.query<{ lsn: string }>(
      `select commit_lsn::text as lsn from tandem.events
       where resource = 'invoices' and payload::jsonb->'key'->>'id' = $1 and payload like $2
       order by commit_lsn desc limit 1`,
      [id, condition],
    );
    position = rows[0]?.lsn ?? '';
    return position !== '';
  });
  return position;
}

test('file and feed are the source while the product writes, for a new export and for an older one', async () => {
  const { id } = await createExport(world, customer);
  await customer.client.completedExport(id, 120_000);
  const commits = traffic.counts.commits;
  await waitFor('changes after the export', () => traffic.counts.commits > commits + 200);

  const older = await verify('--export', id, '--key', customer.key);
  expect(older.output).toMatch(/^EQUAL: /m);
  expect(older.code).toBe(0);
  // Without anything said, every account is verified in turn, each with an export of its own.
  const fresh = await verify('--rate', '100000');
  expect(fresh.output).toContain(`account ${customer.id}`);
  expect(fresh.output).toMatch(/^EQUAL: /m);
  expect(fresh.code).toBe(0);
  expect(readdirSync(home)).toEqual([]);
  const { data } = await customer.client.call<{ data: { id: string; status: string }[] }>('GET', '/exports');
  expect(data.filter(({ status }) => status !== 'expired').map((each) => each.id)).toEqual([id]);
});

test('one event that is lost, doubled or altered is found, and by the key of its record', async () => {
  await traffic.stop();
  const { id } = await createExport(world, customer);
  await customer.client.completedExport(id, 120_000);
  const invoice = await someInvoice();
  const key = `invoices {"id":${invoice}}`;
  await source.query(`update documint.invoices set memo = 'first mark' where id = $1`, [invoice]);
  const lsn = await eventOf(invoice, '%first mark%');

  await control.query(
    `insert into tandem.events select commit_lsn, idx + 1000, account_id, xid, type, resource, record_key, committed_at, payload
     from tandem.events where commit_lsn = $1`,
    [lsn],
  );
  const doubled = await verify('--export', id);
  expect(doubled.output).toContain(`faulty: ${key}: the same change is in the feed twice`);
  expect(doubled.code).toBe(1);

  await control.query('delete from tandem.events where commit_lsn = $1 and idx >= 1000', [lsn]);
  await control.query(
    `update tandem.events set payload = replace(payload, 'first mark', 'first park') where commit_lsn = $1`,
    [lsn],
  );
  const altered = await verify('--export', id, '--resource', 'invoices');
  expect(altered.output).toContain(`differing: ${key} differs in memo\n`);
  expect(altered.output).not.toContain('first park');
  expect(altered.code).toBe(1);
  const forProgram = await verify('--export', id, '--json');
  expect(
    forProgram.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toMatchObject([
    { type: 'difference', kind: 'differing', resource: 'invoices', columns: ['memo'] },
    { type: 'result', equal: false, export: id },
  ]);
  expect((await verify('--export', id, '--show-values')).output).toContain('replica "first park"');

  await control.query('delete from tandem.events where commit_lsn = $1', [lsn]);
  const lost = await verify('--export', id);
  expect(lost.output).toContain(`differing: ${key} differs in `);
  expect(lost.output).toContain('NOT EQUAL: 1 differences');
  expect(lost.code).toBe(1);

  // A later change of the record makes the last state right again, and still does not hide the loss.
  await source.query('alter table documint.invoices replica identity full');
  await source.query(`update documint.invoices set memo = 'second mark' where id = $1`, [invoice]);
  await eventOf(invoice, '%second mark%');
  const hidden = await verify('--export', id);
  expect(hidden.output).toContain(`faulty: ${key}: an earlier change of memo`);
  expect(hidden.code).toBe(1);
});

test('one row of a file that is lost, doubled or altered is found', async () => {
  const { id } = await createExport(world, customer);
  await customer.client.completedExport(id, 120_000);
  const path = join(fileURLToPath(world.env.STORAGE_URL ?? ''), 'exports', id, 'invoices.jsonl');
  const whole = readFileSync(path, 'utf8');
  const lines = whole.split('\n');
  const [first = '', second = ''] = lines;
  const keyOf = (line: string) => `invoices {"id":${/^{"id":(\d+)/.exec(line)?.[1]}}`;
  const write = (changed: string[]) => writeFileSync(path, changed.join('\n'));

  write([first, ...lines.slice(2)]);
  const lost = await verify('--export', id);
  expect(lost.output).toContain(`missing: ${keyOf(second)}`);
  expect(lost.output).toContain('the manifest says');
  expect(lost.code).toBe(1);

  write([first, first, ...lines.slice(2)]);
  const doubled = await verify('--export', id);
  expect(doubled.output).toContain(`faulty: ${keyOf(first)}: stands twice in the file`);
  expect(doubled.output).toContain(`missing: ${keyOf(second)}`);
  expect(doubled.code).toBe(1);

  write([first, second.replace('"currency":"', '"currency":"x'), ...lines.slice(2)]);
  const altered = await verify('--export', id);
  expect(altered.output).toContain(`differing: ${keyOf(second)} differs in currency`);
  expect(altered.code).toBe(1);

  write([...lines.slice(0, -1), first.replace(/^{"id":\d+/, '{"id":999999999'), '']);
  const extra = await verify('--export', id);
  expect(extra.output).toContain('extra: invoices {"id":999999999}');
  expect(extra.code).toBe(1);
});

test('what can not be told is not taken for equal, nor for a difference', async () => {
  const { id } = await createExport(world, customer);
  await customer.client.completedExport(id, 120_000);
  expect((await verify('--export', 'exp_none')).code).toBe(2);
  expect((await verify('--resource', 'invoyces')).code).toBe(2);
  await using resumed = new AsyncDisposableStack();
  world.services.kill('dispatcher', 0, 'SIGSTOP');
  resumed.defer(() => world.services.kill('dispatcher', 0, 'SIGCONT'));
  await source.query(`update documint.invoices set memo = 'not recorded' where account_id = $1`, [
    customer.sourceId,
  ]);
  const behind = await verify('--export', id, '--wait', '1');
  expect(behind.output).toContain('COULD NOT TELL: ');
  expect(behind.output).toContain('--wait');
  expect(behind.code).toBe(2);
  const asJson = await verify('--export', id, '--wait', '1', '--json');
  expect(JSON.parse(asJson.output)).toEqual({ type: 'unknown', reason: expect.stringContaining('--wait') });
  expect(asJson.code).toBe(2);
});

test('an interruption cancels the export that was started for it', async () => {
  const stop = new AbortController();
  const context = { env: { ...world.env, TANDEM_URL: world.apiUrl }, home, signal: stop.signal };
  const words = ['--account', customer.id, '--rate', '100'];
  const interrupted = runCommand(verifyCommand, words, context).catch((error: unknown) => error);
  const running = await waitFor('the export to run', async () => {
    const { rows } = await control.query<{ id: string }>(
      `select id from tandem.exports where account_id = $1 and status = 'running'`,
      [customer.id],
    );
    return rows[0];
  });
  stop.abort();
  expect(await interrupted).toBe(stop.signal.reason);
  await waitFor('its end', async () => {
    const { rows } = await control.query('select status from tandem.exports where id = $1', [running.id]);
    return rows[0]?.status === 'cancelled';
  });
});
