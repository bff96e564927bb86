import { afterAll, beforeAll, expect, test } from 'vitest';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { EXAMPLE } from '../../../services/api/http/example-values.ts';
import type { DocumentedOperation } from '../../support/api-document.ts';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { completeExport } from '../../support/complete-export.ts';
import { invoiceChange } from '../../support/dispatcher.ts';
import { type ExampleWorld, openExampleWorld, withIds } from '../../support/example-world.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookReceiver } from '../../support/webhook-receiver.ts';

let examples: ExampleWorld;
let bed: ExampleWorld['bed'];
let world: ExampleWorld['world'];
let document: ExampleWorld['document'];
let account: ExampleWorld['account'];
let call: ExampleWorld['call'];
let newKey: ExampleWorld['newKey'];

beforeAll(async () => {
  examples = await openExampleWorld();
  ({ bed, world, document, account, call, newKey } = examples);
});
afterAll(() => examples?.[Symbol.asyncDispose]());

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
/** Objects of their own for operations that end what they are about. */
const OWN: Readonly<Record<string, () => Promise<Record<string, string>>>> = {
  cancelExport: async () => ({ [EXAMPLE.export]: await examples.newExport() }),
  pauseExport: async () => ({ [EXAMPLE.export]: await examples.newExport() }),
  resumeExport: async () => ({ [EXAMPLE.export]: await examples.newExport() }),
  deleteExport: async () => ({ [EXAMPLE.export]: await examples.newCompletedExport() }),
  deleteWebhook: async () => ({ [EXAMPLE.webhook]: await examples.newWebhook() }),
  cancelBulkOperation: async () => ({ [EXAMPLE.job]: await examples.newJob() }),
  pauseBulkOperation: async () => ({ [EXAMPLE.job]: await examples.newJob() }),
  resumeBulkOperation: async () => ({ [EXAMPLE.job]: await examples.newJob() }),
  testWebhook: async () => ({ [EXAMPLE.webhook]: await examples.newWebhook() }),
  listPortalSessions: async () => ({ [EXAMPLE.session]: await newSession() }),
  revokePortalSession: async () => ({ [EXAMPLE.session]: await newSession() }),
  listOperatorSessions: async () => ({ [EXAMPLE.operatorSession]: await newOperatorSession() }),
  revokeOperatorSession: async () => ({ [EXAMPLE.operatorSession]: await newOperatorSession() }),
  revokeKey: async () => ({ [EXAMPLE.key]: (await newKey()).id }),
  revokeAccountKey: async () => ({ [EXAMPLE.key]: (await newKey()).id }),
};

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
  const ids = await examples.arrange();
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
  const ids = await examples.arrange();
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
