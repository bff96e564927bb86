import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CUSTOMER_COMMANDS } from '../../deploy/cli/customer/customer-commands.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { choosePort } from '../../deploy/local/ports.ts';
import { NODE_FLAGS } from '../../deploy/local/supervise.ts';
import { Tandem } from '../../schemas/clients/typescript/src/index.ts';
import { secretToKey, sign } from '../../shared/runtime/signing.ts';
import { openBrowser } from '../support/browser.ts';
import { type ClientsWorld, openClientsWorld } from '../support/clients-world.ts';
import { examplesOf } from '../support/packages.ts';
import { openProductPool } from '../support/product-pool.ts';
import { startProgram } from '../support/program.ts';
import { runCommand } from '../support/run-command.ts';
import { differencesOf } from '../support/sqlite-replicas.ts';
import { waitFor } from '../support/wait-for.ts';

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));

const EXAMPLE_LIMIT_MS = 60_000;

let clients: ClientsWorld;
let world: World;
let customer: Customer;
/** Where the packed clients are installed. */
let javascript: string;
let python: string | undefined;
beforeAll(async () => {
  clients = await openClientsWorld({ api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 });
  ({
    world,
    customer,
    folders: { javascript, python },
  } = clients);
});
afterAll(() => clients?.[Symbol.asyncDispose]());

const NODE = ['--disable-warning=ExperimentalWarning'];

/** A client as a customer has it, with the examples of its README. */
interface Installed {
  readonly readme: string;
  readonly language: string;
  readonly extension: string;
  readonly command: readonly [string, ...string[]];
  readonly folder: string;
}

/** Runs the examples of a client's README, each as a program of its own. */
async function runExamples({ readme, language, extension, command, folder }: Installed): Promise<void> {
  const examples = examplesOf(readFileSync(path(readme), 'utf8'), language);
  expect(examples.get('Onboarding')?.trimEnd().split('\n').length).toBeLessThanOrEqual(20);
  const [program, ...options] = command;
  const write = (heading: string) => {
    const file = join(folder, `${heading.toLowerCase().replaceAll(' ', '_')}.${extension}`);
    const code = examples.get(heading);
    if (code === undefined) throw new Error(`${readme} has no example in ${heading}`);
    writeFileSync(file, code);
    return file;
  };
  const run = async (heading: string) => {
    const { stdout } = await promisify(execFile)(program, [...options, write(heading)], {
      cwd: folder,
      env: { ...clients.settings, PYTHONPATH: folder },
      timeout: EXAMPLE_LIMIT_MS,
    });
    return stdout;
  };
  expect(await run('Onboarding')).toMatch(/^100 ?%$[\s\S]*^\d{3,} records in export.customers.jsonl/m);
  expect(existsSync(join(folder, 'export', 'manifest.json'))).toBe(true);
  expect(await run('Keep a replica')).toMatch(/\d{2,} invoices|invoices: \d{2,}/);
  expect(await run('Bulk jobs')).toMatch(/^\d+ invoices$/m);
  expect(await run('Errors')).toContain('must be a resource');

  const port = await choosePort(18_090);
  const client = new Tandem({ baseUrl: world.apiUrl, key: customer.key });
  const { id, secret } = await client.webhooks.create({ url: `http://127.0.0.1:${port}/hook` });
  const receiver = startProgram(program, [...options, write('Receive webhooks')], folder, {
    ...clients.settings,
    PORT: String(port),
    TANDEM_SECRET: secret ?? '',
    PYTHONPATH: folder,
  });
  try {
    await waitFor('the receiver', () => receiver.output.includes('listening'));
    // It listens a moment after it says so.
    await waitFor('the delivery', async () => (await client.webhooks.test(id)).outcome === 'delivered');
    expect(receiver.output).toContain('webhook.test');
    await client.webhooks.rotateSecret(id);
    expect(await client.webhooks.test(id)).toMatchObject({ outcome: 'delivered', status: 204 });
    await client.webhooks.delete(id);
  } finally {
    await receiver.kill();
  }
}

test('the examples of the TypeScript client’s README run as printed, from its package', async () => {
  await runExamples({
    readme: 'schemas/clients/typescript/README.md',
    language: 'ts',
    extension: 'ts',
    command: [process.execPath, ...NODE],
    folder: javascript,
  });
});

test('the examples of the Python client’s README run as printed, from its wheel', async () => {
  if (python === undefined) return;
  await runExamples({
    readme: 'schemas/clients/python/README.md',
    language: 'python',
    extension: 'py',
    command: ['python3'],
    folder: python,
  });
});

const TANDEM = [...NODE_FLAGS, ...NODE, path('deploy/cli/tandem.ts')];

test('a customer exports, follows the feed and keeps a replica from the command line', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tandem-cli-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(home, { recursive: true, force: true }));
  const env = { PATH: process.env.PATH, XDG_CONFIG_HOME: home, XDG_STATE_HOME: home };
  const tandem = async (...words: string[]) => {
    const options = { cwd: home, env, timeout: EXAMPLE_LIMIT_MS };
    const { stdout } = await promisify(execFile)(process.execPath, [...TANDEM, ...words], options);
    return stdout.trimEnd().split('\n');
  };
  const login = startProgram(process.execPath, [...TANDEM, 'login', '--url', world.apiUrl], home, {
    ...clients.settings,
    XDG_CONFIG_HOME: home,
  });
  await once(login.child as ChildProcess, 'exit');
  expect(login.output).toContain(`(${customer.id}), profile default`);
  expect(login.output).not.toContain(customer.key);

  const words = ['exports', 'create', '--resources', 'customers,invoices', '--out', 'files', '--json'];
  const [created = ''] = await tandem(...words);
  const { id, rows, paths } = JSON.parse(created) as {
    id: string;
    rows: { written: number };
    paths: string[];
  };
  expect(paths).toEqual(['files/customers.jsonl', 'files/invoices.jsonl', 'files/manifest.json']);
  const lines = paths
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) => readFileSync(join(home, name), 'utf8').trimEnd().split('\n'));
  expect(lines).toHaveLength(rows.written);
  // As if the connection was cut in the middle of a file.
  const whole = readFileSync(join(home, 'files/invoices.jsonl'));
  rmSync(join(home, 'files/invoices.jsonl'));
  writeFileSync(join(home, 'files/invoices.jsonl.part'), whole.subarray(0, whole.length / 2));
  await tandem('exports', 'download', id, '--out', 'files');
  expect(readFileSync(join(home, 'files/invoices.jsonl')).equals(whole)).toBe(true);

  const pool = openProductPool({ connectionString: world.sourceUrl, max: 1 });
  cleanup.defer(() => pool.end());
  const change = (memo: string) =>
    pool.query('update documint.invoices set memo = $1 where account_id = $2 and id in (1, 2)', [
      memo,
      customer.sourceId,
    ]);
  await change('by the command line');
  const changes = await waitFor('the events', async () => {
    const found = await tandem('events', 'tail', '--after-export', id, '--once', '--json');
    return found.length >= 2 && found;
  });
  expect(changes.map((line) => JSON.parse(line))).toMatchObject([
    { type: 'invoice.updated', key: { id: 1 }, data: { memo: 'by the command line' } },
    { type: 'invoice.updated', key: { id: 2 }, data: { memo: 'by the command line' } },
  ]);

  const sync = () => tandem('replica', 'sync', 'sqlite:replica.db', '--once');
  const replica = join(home, 'replica.db');
  await sync();
  expect(await differencesOf(world, customer, replica)).toEqual([]);
  await change('after the first sync');
  expect(await differencesOf(world, customer, replica)).not.toEqual([]);
  await waitFor('the replica to be the source', async () => {
    await sync();
    return (await differencesOf(world, customer, replica)).length === 0;
  });

  await verifyReplica(replica, tandem);

  await useWebhooks(home, (memo) => change(memo));
  await expect(tandem('exports', 'get', 'exp_0')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /There is no export exp_0\.\n {2}code not_found, request req_\w+\n {2}http/,
    ),
  });
});

/** Finds a record that is changed, one that is missing and one too many, and nothing else. */
async function verifyReplica(file: string, tandem: (...words: string[]) => Promise<string[]>): Promise<void> {
  const verify = () => tandem('replica', 'verify', `sqlite:${file}`, '--json');
  const resources = world.catalog.resources.map(({ name }) => name).sort();
  const [right = ''] = await verify();
  expect(JSON.parse(right)).toMatchObject({
    is_equal: true,
    unchecked: {},
    resources: resources.map((resource) => ({ resource, is_equal: true, differences: [] })),
  });
  expect(JSON.parse(right).resources[0].source.rows).toBeGreaterThan(10);
  using db = new DatabaseSync(file);
  const where = "resource = 'invoices' and data is not null";
  const keys = db.prepare(`select key from tandem_records where ${where} order by key limit 2`).all();
  const [changed, missing] = keys.map(({ key }) => String(key));
  db.prepare(`update tandem_records set data = json_set(data, '$.memo', 'x') where ${where} and key = ?`).run(
    changed ?? '',
  );
  db.prepare(`delete from tandem_records where ${where} and key = ?`).run(missing ?? '');
  db.exec(`insert into tandem_records
    select load, resource, '{"id":999999}', json_set(data, '$.id', 999999), null, null
    from tandem_records where ${where} limit 1`);
  const failed = await verify().then(
    () => expect.fail('the differences were not found'),
    (error: { code: number; stdout: string }) => error,
  );
  expect(failed.code).toBe(1);
  const wrong = JSON.parse(failed.stdout);
  const [invoices] = wrong.resources.filter((each: { is_equal: boolean }) => !each.is_equal);
  expect(wrong.resources.filter((each: { is_equal: boolean }) => each.is_equal)).toHaveLength(
    resources.length - 1,
  );
  expect(invoices).toMatchObject({ resource: 'invoices', is_complete: true });
  expect(new Map(invoices.differences.map(({ key, kind }: Record<string, string>) => [kind, key]))).toEqual(
    new Map([
      ['changed', changed],
      ['missing', missing],
      ['extra', '{"id":999999}'],
    ]),
  );
  expect(invoices.differences).toHaveLength(3);
  await expect(tandem('replica', 'verify', 'sqlite:none.db')).rejects.toMatchObject({ code: 2 });
}

/** What a page does with the client, on the origin of the API. */
const PAGE = `<!doctype html><script type="module">
import { Replica, Tandem, verifyWebhook } from '/client/index.js';
const say = async () => {
  const { key, webhook } = await (await fetch('/settings')).json();
  const client = new Tandem({ baseUrl: location.origin, key });
  const exported = await client.exports.create({ resource: 'invoices' }).wait();
  const text = await new Response(await client.exports.stream(exported)).text();
  const lines = text.trimEnd().split('\\n').length;
  const listed = await client.exports.list().toArray(1);
  const { events } = await verifyWebhook(webhook.headers, webhook.body, webhook.secret);
  return [exported.rows.written - lines, listed.length, events[0].id, typeof Replica];
};
say().then((said) => (document.title = JSON.stringify(said)), (error) => (document.title = String(error)));
</script>`;

test('the packed client works in a browser', async () => {
  await using browser = await openBrowser();
  if (browser === undefined) return;
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const timestamp = Math.floor(Date.now() / 1_000);
  const body = '{"id":"evt_1","type":"invoice.created"}';
  const headers = {
    'webhook-id': 'evt_1',
    'webhook-timestamp': String(timestamp),
    'webhook-signature': sign([secretToKey(secret)], 'evt_1', timestamp, Buffer.from(body)),
  };
  const served = { key: customer.key, webhook: { headers, body, secret } };
  const context = await browser.open();
  const page = await context.newPage();
  // The API sends no CORS headers: a page uses it from its own origin.
  await page.route(`${world.apiUrl}/client/*`, (route) => {
    const name = new URL(route.request().url()).pathname.split('/').at(-1) ?? '';
    const file = join(javascript, 'node_modules/@tandem/client/dist', name);
    return route.fulfill({ body: readFileSync(file, 'utf8'), contentType: 'text/javascript' });
  });
  await page.route(`${world.apiUrl}/settings`, (route) => route.fulfill({ json: served }));
  await page.route(`${world.apiUrl}/page`, (route) =>
    route.fulfill({ body: PAGE, contentType: 'text/html' }),
  );
  await page.goto(`${world.apiUrl}/page`);
  await page.waitForFunction('document.title !== ""', undefined, { timeout: EXAMPLE_LIMIT_MS });
  expect(await page.title()).toBe(JSON.stringify([0, 1, 'evt_1', 'function']));
});

/** Listens, verifies what it got, and uses endpoints and bulk jobs, by the commands in this process. */
async function useWebhooks(home: string, change: (memo: string) => Promise<unknown>): Promise<void> {
  const env = { TANDEM_URL: world.apiUrl, TANDEM_API_KEY: customer.key, XDG_STATE_HOME: home };
  const run = async (name: string, ...words: string[]) => {
    const command = CUSTOMER_COMMANDS.find((each) => each.name === name);
    if (command === undefined) throw new Error(`there is no ${name}`);
    const { code, lines } = await runCommand(command, [...words, '--json'], { env, home });
    const results = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
    return { code, results };
  };
  const requests: { headers: IncomingHttpHeaders; body: Buffer }[] = [];
  const server = createServer(async (request, response) => {
    requests.push({ headers: request.headers, body: Buffer.concat(await request.toArray()) });
    response.writeHead(requests.length === 1 ? 500 : 204).end();
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;

  const { results } = await run('listen', '--forward', url, '--once');
  const { secret } = results[0] as { secret: string };
  const listenTo = async (memo: string) => {
    await change(memo);
    const delivered: { event: { data: { memo: string } } }[] = [];
    await waitFor('the events', async () => {
      delivered.push(...(await run('listen', '--forward', url, '--once')).results);
      return delivered.length >= 2;
    });
    expect(delivered.map(({ event }) => event.data.memo)).toEqual([memo, memo]);
  };
  await listenTo('the first is refused once');
  await listenTo('the next listen continues there');
  // The first request failed, and was repeated before the second event was sent.
  expect(requests.map(({ headers }) => headers['webhook-id'])).toHaveLength(5);
  expect(requests[1]?.headers['webhook-id']).toBe(requests[0]?.headers['webhook-id']);
  expect(new Set(requests.map(({ headers }) => headers['webhook-id'])).size).toBe(4);

  const file = (name: string, text: string | Buffer) => {
    writeFileSync(join(home, name), text);
    return join(home, name);
  };
  const { headers, body = Buffer.of() } = requests[4] ?? {};
  const given = [
    '--headers',
    file('headers.json', JSON.stringify(headers)),
    '--secret-file',
    file('secret', secret),
  ];
  expect(await run('verify-signature', ...given, '--body', file('body', body))).toMatchObject({
    code: 0,
    results: [{ valid: true, id: headers?.['webhook-id'] }],
  });
  expect(await run('verify-signature', ...given, '--body', file('body', `${body} `))).toMatchObject({
    code: 1,
    results: [{ valid: false, reason: 'wrong_signature' }],
  });

  const created = await run('webhooks create', '--url', url);
  const { id } = created.results[0] as { id: string };
  expect(await run('webhooks test', id)).toMatchObject({ code: 0, results: [{ outcome: 'delivered' }] });
  expect(await run('webhooks pause', id)).toMatchObject({ results: [{ status: 'paused' }] });
  // An attempt is recorded a moment after the response.
  await waitFor('the attempt', async () =>
    (await run('webhooks attempts', id)).results.some(({ event_id: event }) => event.startsWith('test_')),
  );
  expect(await run('webhooks delete', id)).toMatchObject({ code: 0 });

  const ids = file('ids', '1\n2\nnone\n');
  const job = ['--resource', 'invoices', '--operation', 'void', '--ids-file', ids, '--follow'];
  const bulk = await run('bulk create', ...job);
  expect(bulk).toMatchObject({ code: 1, results: [{ status: 'completed', failed: 1 }] });
  const { job_id: jobId } = bulk.results[0] as { job_id: string };
  expect((await run('bulk results', jobId, '--status', 'failed')).results).toMatchObject([
    { item_id: 'none' },
  ]);
}
