import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findAccount } from '../../../services/api/admin/accounts.ts';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { EXAMPLE } from '../../../services/api/http/example-values.ts';
import { createKeyStore } from '../../../services/api/http/key-lookup.ts';
import { parseCidr } from '../../../shared/domain/address-rules.ts';
import { eventId } from '../../../shared/domain/position.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../../shared/runtime/secret-box.ts';
import { type ApiDocument, type DocumentedOperation, readApiDocument } from '../../support/api-document.ts';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { completeExport } from '../../support/complete-export.ts';
import { type DispatcherBed, invoiceChange, openDispatcherBed } from '../../support/dispatcher.ts';
import { findPython, SCHEMATHESIS } from '../../support/python.ts';
import type { RunningService } from '../../support/services.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';

let bed: DispatcherBed;
let dispatcher: RunningService;
let receiver: WebhookReceiver;
let world: BulkWorld;
let document: ApiDocument;
/** What the api logged of its own failures. */
const failures: string[] = [];
let account: { id: string; key: string; sourceId: string; ids: string[] };

beforeAll(async () => {
  bed = await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '0.1' });
  dispatcher = await bed.start();
  receiver = await openWebhookReceiver((_request, response) => {
    response.writeHead(500).end('no');
    return undefined;
  });
  const { pool, env } = bed;
  world = await openBulkWorld({
    pool,
    doorPool: pool,
    secretBox: createSecretBox(env.SECRET_KEY ?? '', WEBHOOK_SECRETS),
    keys: createKeyStore(pool, pool),
    accountExists: async (id) => (await findAccount(pool, id)) !== undefined,
    deliveryRules: { allowNetworks: [parseCidr('127.0.0.0/8')], allowHttp: true },
    maxQueuedExports: 1_000,
    maxQueuedBulk: 1_000,
    log: { ...silentLog, error: (event, { error } = {}) => void failures.push(`${event} ${String(error)}`) },
  });
  document = await readApiDocument(world.api);
  account = await world.account(3);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await dispatcher?.stop();
  await bed?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
});

const call = async (method: string, path: string, body?: unknown, key = account.key) => {
  const reply = await world.api.call(method, path, { key, ...(body === undefined ? {} : { body }) });
  expect(reply.status, `${method} ${path}: ${reply.text}`).toBeLessThan(300);
  return reply.json;
};
const newKey = (scopes: readonly string[] = ['exports:read']) =>
  call('POST', `/admin/accounts/${account.id}/keys`, { scopes }, ADMIN_KEY) as Promise<{
    id: string;
    key: string;
  }>;
const newSession = async () => {
  const { url } = await call('POST', `/admin/accounts/${account.id}/portal-links`, {}, ADMIN_KEY);
  const { origin, hash } = new URL(url);
  const headers = { origin, 'content-type': 'application/x-www-form-urlencoded' };
  await world.api.call('POST', '/dashboard/enter', { headers, body: hash.slice(1) });
  const sessions = await call('GET', `/admin/accounts/${account.id}/portal-sessions`, undefined, ADMIN_KEY);
  return sessions.data[0].id as string;
};
const newOperatorSession = async () => {
  const headers = { origin: world.api.url, 'content-type': 'application/x-www-form-urlencoded' };
  await world.api.call('POST', '/dashboard/login', { headers, body: `key=${ADMIN_KEY}` });
  return (await call('GET', '/admin/operator-sessions', undefined, ADMIN_KEY)).data[0].id as string;
};
const newExport = async () => (await call('POST', '/exports', { resource: 'invoices' })).id as string;
const newJob = async () =>
  (
    await call('POST', '/bulk/operations', {
      resource: 'invoices',
      operation: 'void',
      ids: account.ids,
      async: true,
    })
  ).job_id as string;
const newWebhook = async (events = ['invoice.updated']) =>
  (await call('POST', '/webhooks', { url: receiver.url, events })).id as string;
const completed = async () => {
  const id = await newExport();
  await completeExport({ ...world.api, pool: bed.pool }, id, '{}\n');
  return id;
};

/** Objects that the examples are about, by the IDs that they have there. */
async function arrange(): Promise<Record<string, string>> {
  const webhook = await newWebhook();
  // Each time at the same position with a later commit time, as when an event is recorded again too late.
  const change = { account: account.sourceId, lsn: 16, op: 'update' } as const;
  await bed.publish([invoiceChange({ ...change, before: ['1', account.sourceId, 'old', null] })]);
  const deadLetters = () => call('GET', `/webhooks/${webhook}/dead-letters`);
  await waitFor('the event to be given up', async () => (await deadLetters()).data.length > 0);
  const attempts = () => call('GET', `/webhooks/${webhook}/attempts`);
  await waitFor('the attempts to be recorded', async () => (await attempts()).data.length > 1);
  return {
    [EXAMPLE.account]: account.id,
    [EXAMPLE.key]: (await newKey()).id,
    [EXAMPLE.export]: await completed(),
    [EXAMPLE.webhook]: webhook,
    [EXAMPLE.job]: await newJob(),
    [EXAMPLE.event]: eventId({ commitLsn: 16n, index: 0 }),
    [EXAMPLE.attempt]: (await attempts()).data[0].id,
    1001: account.ids[0] ?? '',
  };
}

/** Objects of their own for operations that end what they are about. */
const OWN: Readonly<Record<string, () => Promise<Record<string, string>>>> = {
  cancelExport: async () => ({ [EXAMPLE.export]: await newExport() }),
  pauseExport: async () => ({ [EXAMPLE.export]: await newExport() }),
  resumeExport: async () => ({ [EXAMPLE.export]: await newExport() }),
  deleteExport: async () => ({ [EXAMPLE.export]: await completed() }),
  deleteWebhook: async () => ({ [EXAMPLE.webhook]: await newWebhook() }),
  cancelBulkOperation: async () => ({ [EXAMPLE.job]: await newJob() }),
  pauseBulkOperation: async () => ({ [EXAMPLE.job]: await newJob() }),
  resumeBulkOperation: async () => ({ [EXAMPLE.job]: await newJob() }),
  testWebhook: async () => ({ [EXAMPLE.webhook]: await newWebhook() }),
  listPortalSessions: async () => ({ [EXAMPLE.session]: await newSession() }),
  revokePortalSession: async () => ({ [EXAMPLE.session]: await newSession() }),
  listOperatorSessions: async () => ({ [EXAMPLE.operatorSession]: await newOperatorSession() }),
  revokeOperatorSession: async () => ({ [EXAMPLE.operatorSession]: await newOperatorSession() }),
  revokeKey: async () => ({ [EXAMPLE.key]: (await newKey()).id }),
  revokeAccountKey: async () => ({ [EXAMPLE.key]: (await newKey()).id }),
};

/** A text of the document with real IDs in place of the examples'. */
function withIds(text: string, ids: Readonly<Record<string, string>>): string {
  return Object.entries(ids).reduce((whole, [example, id]) => whole.replaceAll(example, id), text);
}

function requestOf(operation: DocumentedOperation, ids: Readonly<Record<string, string>>) {
  const real = (text: string) => withIds(text, ids);
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const example = operation.parameters.find((parameter) => parameter.name === name)?.example;
    expect(example, `${operation.operationId}: an example of ${name}`).toBeDefined();
    return encodeURIComponent(real(String(example)));
  });
  const query = new URLSearchParams(
    operation.parameters
      .filter((parameter) => parameter.in === 'query' && parameter.example !== undefined)
      .map(({ name, example }): [string, string] => [name, real(String(example))]),
  );
  const isOperator = operation.security.some((scheme) => 'operatorKey' in scheme);
  const { body } = operation;
  const text = typeof body?.example === 'string' ? body.example : JSON.stringify(body?.example);
  return {
    path: `${path}${query.size === 0 ? '' : `?${query}`}`,
    options: {
      ...(operation.security.length === 0 ? {} : { key: isOperator ? ADMIN_KEY : account.key }),
      ...(body === undefined ? {} : { body: real(text), headers: { 'content-type': body.type } }),
    },
  };
}

test('the example of every operation is a request that gets the response that is shown', async () => {
  const ids = await arrange();
  const faults: string[] = [];
  for (const operation of document.operations) {
    const { operationId, method, responses } = operation;
    const own = (await OWN[operationId]?.()) ?? {};
    const request = requestOf(operation, { ...ids, ...own });
    if (operationId === 'downloadExportFile') {
      const { manifest_url: url } = await call('GET', `/exports/${ids[EXAMPLE.export]}`);
      request.path = url;
    }
    const reply = await world.api.call(method, request.path, request.options);
    const told = (fault: string) => `${operationId}: ${fault}`;
    faults.push(...document.faultsOf(operation, reply).map(told));
    if (reply.status >= 400) faults.push(told(`${reply.status} ${reply.text.slice(0, 300)}`));
    const shown = responses[String(reply.status)]?.content?.['application/json']?.example;
    if (shown !== undefined) faults.push(...differences(shown, reply.json, '').map(told));
    else if (reply.json !== undefined && !/OpenApi$|File$/.test(operationId)) faults.push(told('no example'));
  }
  expect(faults).toEqual([]);
});

/** What single records, jobs and audit entries have differs from case to case. */
const FREE: ReadonlySet<string> = new Set([
  'data',
  'key',
  'previous',
  'details',
  'headers',
  'jobs',
  'example',
]);

/** Members that only one of the two has, and values of another type. Null and empty stand for anything. */
function differences(shown: unknown, real: unknown, at: string): string[] {
  if (shown === null || real === null) return [];
  if (Array.isArray(shown) && Array.isArray(real)) {
    return shown.length === 0 || real.length === 0 ? [] : differences(shown[0], real[0], `${at}/0`);
  }
  if (typeof shown !== typeof real) return [`${at}: ${typeof shown} is shown, ${typeof real} is got`];
  if (typeof shown !== 'object' || typeof real !== 'object') return [];
  const [left, right] = [shown as Record<string, unknown>, real as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap((name) => {
    const place = `${at}/${name}`;
    if (!(name in left)) return [`${place} is not shown`];
    if (!(name in right)) return [`${place} is shown, and not got`];
    const isPage = name === 'data' && Array.isArray(left[name]);
    return FREE.has(name) && !isPage ? [] : differences(left[name], right[name], place);
  });
}

test('every kind of event that a webhook endpoint gets is as described, alone and in a batch', async () => {
  await using accepting = await openWebhookReceiver();
  const { id: accountId, key, sourceId } = await world.account(1);
  const own = (method: string, path: string, body?: unknown) => call(method, path, body, key);
  const subscribe = async (fields: Record<string, unknown>) =>
    (await own('POST', '/webhooks', { url: accepting.url, ...fields })).id as string;
  const webhook = await subscribe({ events: ['*'] });
  const disabled = await subscribe({ events: ['bulk.failed'] });
  await own('POST', `/webhooks/${webhook}/test`);
  await own('POST', `/webhooks/${await subscribe({ batch: { max_events: 2, max_wait_ms: 0 } })}/test`);
  const row = (memo: string) => ['1', sourceId, memo, null];
  const changes = [
    { op: 'insert', after: row('new') },
    { op: 'update', before: row('new'), after: row('newer') },
    { op: 'delete', before: row('newer'), after: null },
  ] as const;
  await bed.publish(
    changes.map((change, index) => invoiceChange({ account: sourceId, lsn: 1_000 + index, ...change })),
  );
  await bed.publish([invoiceChange({ account: sourceId, lsn: 2_000, op: 'truncate', after: null })]);
  const arranged = (text: string, values: readonly unknown[] = []) =>
    bed.pool.query(`/* arranged */ ${text}`, [...values]);
  const started = async (table: 'exports' | 'bulk_jobs', id: string) => {
    await arranged(`update ${table} set status = 'running' where id = $1`, [id]);
    return id;
  };
  const error = JSON.stringify({ code: 'row_count_mismatch', message: '2 are not 3' });
  const exportOf = async () => (await own('POST', '/exports', { resource: 'invoices' })).id as string;
  const done = await started('exports', await exportOf());
  await completeExport({ ...world.api, pool: bed.pool }, done, '{}\n');
  await arranged('update exports set expiry_told_at = now() where id = $1', [done]);
  const end = `set status = 'failed', error = $2`;
  await arranged(`update exports ${end} where id = $1`, [await started('exports', await exportOf()), error]);
  const jobOf = async () => {
    const request = { resource: 'invoices', operation: 'void', ids: ['1'], async: true };
    return started('bulk_jobs', (await own('POST', '/bulk/operations', request)).job_id);
  };
  await arranged(`update bulk_jobs ${end}, ended_at = now() where id = $1`, [await jobOf(), error]);
  await arranged(`update bulk_jobs set status = 'completed', ended_at = now() where id = $1`, [
    await jobOf(),
  ]);
  await arranged(`update webhooks set status = 'disabled', status_reason = 'x' where id = $1`, [disabled]);
  await arranged(`update feed_stall set reason = 'slot_lost', detail = 'x', since = now()`);
  await arranged('update feed_stall set since = null');

  const bodies = () =>
    accepting.received.map(({ body }) => JSON.parse(body) as { type: string; account_id: string });
  const types = document.eventTypes.filter((type) => !/^(customer|line_item)\./.test(type));
  const missing = () => types.filter((type) => !bodies().some((body) => body.type === type));
  await waitFor('an event of every type', async () => missing().length === 0).catch(() => undefined);
  expect(missing()).toEqual([]);
  expect(bodies().flatMap((body) => document.eventFaultsOf(body))).toEqual([]);
  expect(bodies().find(({ type }) => type === 'feed.stalled')?.account_id).toBe(accountId);
});

test('a path takes the methods that are documented and HEAD, and names them to any other', async () => {
  const faults: string[] = [];
  for (const [path, operations] of Map.groupBy(document.operations, (operation) => operation.path)) {
    const methods = operations.map(({ method }) => method);
    const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort();
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter(
      (each) => !methods.includes(each),
    )) {
      const target = path.replace(/\{\w+\}/g, 'x');
      const { status, headers, json } = await world.api.call(method, target, { key: account.key });
      const told = headers.get('allow')?.split(', ').sort();
      if (status !== 405 || json.code !== 'method_not_allowed' || told?.join() !== allowed.join())
        faults.push(`${method} ${target}: ${status}, Allow: ${told}`);
    }
  }
  expect(faults).toEqual([]);
});

test('no operation is for a missing, unknown, revoked or reduced key, and none shows what is another account’s', async () => {
  const ids = await arrange();
  const own = Object.values(ids).filter((id) => id.includes('_'));
  const other = await world.account(1);
  const revoked = await newKey([...SCOPES]);
  await call('DELETE', `/admin/accounts/${account.id}/keys/${revoked.id}`, undefined, ADMIN_KEY);
  const faults: string[] = [];
  for (const operation of document.operations) {
    const { operationId, method, security } = operation;
    if (security.length === 0) continue;
    const request = requestOf(operation, ids);
    const send = async (key: string | undefined, expected: readonly number[]) => {
      const { key: _key, ...options } = request.options;
      const reply = await world.api.call(method, request.path, {
        ...options,
        ...(key === undefined ? {} : { key }),
      });
      const told = `${operationId} with ${key === undefined ? 'no key' : key.slice(0, 6)}: ${reply.status} ${reply.text.slice(0, 200)}`;
      if (!expected.includes(reply.status)) faults.push(told);
      faults.push(...document.faultsOf(operation, reply).map((fault) => `${operationId}: ${fault}`));
      return { reply, told };
    };
    for (const key of [undefined, 'tk_unknown', revoked.key]) await send(key, [401]);
    const isOperators = security.some((scheme) => 'operatorKey' in scheme);
    const needed = security.flatMap((scheme) => scheme.key ?? []);
    for (const scope of needed) {
      const reduced = await newKey(SCOPES.filter((each) => each !== scope));
      const { reply, told } = await send(reduced.key, [403]);
      if (reply.json?.scope !== scope) faults.push(`${told} (lacks ${scope})`);
    }
    if (isOperators) await send(account.key, [403]);
    else {
      // A request that names an object gets the same as for one that never was.
      const isNamed = own.some((id) => request.path.includes(id));
      const { reply, told } = await send(other.key, isNamed ? [404] : [200, 201, 202, 422]);
      // The URL is what was asked for.
      const seen = own.filter((id) => reply.text.includes(id));
      if (seen.some((id) => !request.path.includes(id) && !String(request.options.body).includes(id)))
        faults.push(`${told} shows ${seen.join()}`);
    }
  }
  expect(faults).toEqual([]);
}, 300_000);

const SETTINGS = fileURLToPath(new URL('../../support/schemathesis.toml', import.meta.url));

/** Cases for each operation, of `npm run test:api`. `npm test` makes a few, since each costs as much as it finds. */
const MAX_EXAMPLES = process.env.SCHEMATHESIS_EXAMPLES;

const FEW = ['--phases', 'examples,fuzzing'];

/** The phase `coverage` has thousands of cases. The operator's key alone may send all of them. */
const KEYS = [
  { who: 'an account', options: ['--exclude-tag', 'operator', ...FEW] },
  { who: 'the operator', options: MAX_EXAMPLES === undefined ? FEW : [] },
  ...(MAX_EXAMPLES === undefined ? [] : [{ who: 'an account, with one scope', options: FEW }]),
];

test.each(KEYS)(
  'Schemathesis finds no undocumented response with the key of $who',
  async ({ who, options }) => {
    const python = findPython(SCHEMATHESIS);
    if (python === undefined) return;
    const ids = await arrange();
    const accountKey = who.includes('scope') ? (await newKey()).key : account.key;
    const key = who === 'the operator' ? ADMIN_KEY : accountKey;
    const { text } = await world.api.call('GET', '/admin/openapi.json', { key: ADMIN_KEY });
    const folder = temporaryDirectory();
    const path = join(folder, 'openapi.json');
    await writeFile(path, withIds(text, ids));
    const { code, output } = await python.run('schemathesis.cli', folder, [
      ...['--config-file', SETTINGS, '--no-color', 'run', path],
      ...['--url', world.api.url, '--header', `Authorization: Bearer ${key}`],
      ...['--max-examples', MAX_EXAMPLES ?? '2', ...options],
    ]);
    const lines = output.split('\n').map((line) => line.slice(0, 500));
    expect(code, [...failures, ...lines].join('\n')).toBe(0);
  },
  600_000,
);
