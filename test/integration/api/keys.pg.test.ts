import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { keyCommands } from '../../../deploy/cli/customer/keys.ts';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { createDashboardVisitor, csrfOf, type DashboardVisitor } from '../../support/dashboard.ts';
import { runCommand } from '../../support/run-command.ts';
import { waitFor } from '../../support/wait-for.ts';

let api: TestApi;
let visitor: DashboardVisitor;
beforeAll(async () => {
  api = await openTestApi();
  visitor = createDashboardVisitor(api);
});
afterAll(() => api?.[Symbol.asyncDispose]());

type Account = Awaited<ReturnType<TestApi['account']>>;

const post = (key: string, body: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', '/keys', { key, body, headers });

async function auditOf({ id }: Account, query = ''): Promise<Record<string, unknown>[]> {
  return (await api.operator('GET', `/admin/audit?account_id=${id}${query}`)).json.data;
}

test('an account makes, lists and revokes its keys; none may do more than the one that made it', async () => {
  const account = await api.account();
  const [main] = (await api.call('GET', '/keys', { key: account.key })).json.data;
  const maker = await post(account.key, { name: 'CI', scopes: ['keys:write', 'exports:read', 'keys:read'] });
  expect(maker.status).toBe(201);
  expect(maker.json).toMatchObject({
    account_id: account.id,
    name: 'CI',
    scopes: ['exports:read', 'keys:read', 'keys:write'],
    prefix: maker.json.key.slice(0, 9),
    last_used_at: null,
  });
  const { key, id } = maker.json;
  const refused = await post(key, { scopes: ['exports:read', 'exports:write'] });
  expect([refused.status, refused.json.scope]).toEqual([403, 'exports:write']);
  for (const body of [{}, { scopes: [] }, { scopes: ['admin'] }])
    expect((await post(key, body)).status).toBe(422);
  const child = await post(key, { scopes: ['exports:read'] });
  expect((await post(child.json.key, { scopes: ['exports:read'] })).json.scope).toBe('keys:write');
  expect((await api.call('GET', '/keys', { key: child.json.key })).json.scope).toBe('keys:read');

  const listed = await api.call('GET', '/keys?limit=2', { key });
  expect(listed.json.data.map((each: { id: string }) => each.id)).toEqual([child.json.id, id]);
  const next = await api.call('GET', `/keys?cursor=${listed.json.next_cursor}`, { key });
  expect(next.json.data.map((each: { id: string }) => each.id)).toEqual([main.id]);
  for (const secret of [key, account.key]) expect(listed.text + next.text).not.toContain(secret);

  const other = await api.account();
  const revoke = (by: string, which: string) => api.call('DELETE', `/keys/${which}`, { key: by });
  expect((await revoke(other.key, child.json.id)).status).toBe(404);
  expect((await api.call('GET', `/keys?cursor=${listed.json.next_cursor}`, { key: other.key })).status).toBe(
    422,
  );
  expect((await api.call('GET', '/exports', { key: child.json.key })).status).toBe(200);
  expect([await revoke(key, child.json.id), await revoke(key, child.json.id)].map((r) => r.status)).toEqual([
    204, 204,
  ]);
  expect((await api.call('GET', '/exports', { key: child.json.key })).status).toBe(401);
  const entries = await auditOf(account);
  expect(entries.slice(0, 3)).toMatchObject([
    { action: 'key.revoked', actor: id, subject_id: child.json.id },
    { action: 'key.created', actor: id, subject_id: child.json.id, details: { scopes: ['exports:read'] } },
    { action: 'key.created', actor: main.id, subject_id: id, details: { name: 'CI' } },
  ]);
  expect(await revoke(key, id)).toMatchObject({ status: 204 });
  expect((await api.call('GET', '/keys', { key })).status).toBe(401);
});

/** A request whose last byte the test keeps back. @returns sends it, and gets the status of the response */
function beginSlowly(path: string, body: string, headers: Readonly<Record<string, string>>) {
  const sent = request(`${api.url}${path}`, {
    method: 'POST',
    headers: { ...headers, origin: api.url, 'content-length': String(Buffer.byteLength(body)) },
    agent: false,
  });
  const status = once(sent, 'response').then(([response]) => (response as IncomingMessage).statusCode);
  sent.write(body.slice(0, -1));
  return async () => {
    // From now on, since the api may have got the beginning late.
    const askedAtMs = performance.now();
    await waitFor('the body to be slow', () => performance.now() - askedAtMs > 200);
    sent.end(body.slice(-1));
    return status;
  };
}

test('a key or a session that is revoked while a body arrives has sent nothing', async () => {
  const account = await api.account();
  const revokeAll = async () => {
    for (const { id } of (await api.operator('GET', `/admin/accounts/${account.id}/keys?limit=100`)).json
      .data)
      await api.operator('DELETE', `/admin/accounts/${account.id}/keys/${id}`);
    await api.operator('DELETE', `/admin/accounts/${account.id}/portal-sessions`);
    await api.operator('DELETE', '/admin/operator-sessions');
  };
  const signedIn = await visitor.send('/dashboard/login', { key: ADMIN_KEY }, '');
  const own = (signedIn.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const ownCsrf = csrfOf((await visitor.show('/dashboard/operator/sessions', own)).text);
  const cookie = await visitor.open(account);
  const csrf = await visitor.csrf(cookie);
  const json = { authorization: `Bearer ${account.key}`, 'content-type': 'application/json' };
  const form = { cookie, 'content-type': 'application/x-www-form-urlencoded' };
  const ends = [
    beginSlowly('/exports', '{"resource":"invoices"}', json),
    beginSlowly('/keys', '{"scopes":["exports:read"]}', json),
    beginSlowly('/bulk/files', '1001\n1002\n', { ...json, 'content-type': 'text/plain' }),
    beginSlowly('/dashboard/exports/new', `csrf=${csrf}&resource=invoices`, form),
    beginSlowly('/dashboard/keys/new', `csrf=${csrf}&scope=exports%3Aread`, form),
    beginSlowly(
      `/dashboard/operator/accounts/${account.id}/portal-link`,
      `csrf=${ownCsrf}&scope=keys%3Awrite`,
      {
        ...form,
        cookie: own,
      },
    ),
  ];
  await waitFor('the key to be looked up', async () => {
    const { rows } = await api.pool.query(
      'select from api_keys where account_id = $1 and last_used_at is not null',
      [account.id],
    );
    return rows.length > 0;
  });
  await revokeAll();
  expect(await Promise.all(ends.map((end) => end()))).toEqual(Array(6).fill(401));
  const { rows } = await api.pool.query(
    `select (select count(*) from exports where account_id = $1)::int as exports,
       (select count(*) from bulk_files where account_id = $1)::int as files,
       (select count(*) from api_keys where account_id = $1)::int as keys`,
    [account.id],
  );
  expect(rows).toEqual([{ exports: 0, files: 0, keys: 1 }]);
});

test('a key is made before its maker is revoked, or not at all', async () => {
  const account = await api.account();
  const [{ id }] = (await api.call('GET', '/keys', { key: account.key })).json.data;
  const db = await api.pool.connect();
  onTestFinished(() => db.release());
  await db.query('begin');
  await db.query('/* arranged */ update api_keys set revoked_at = now() where id = $1', [id]);
  const made = post(account.key, { scopes: ['exports:read'] });
  await waitFor('the new key to wait for the revocation', async () => {
    const { rows } = await api.doorPool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });
  await db.query('commit');
  expect((await made).status).toBe(401);
});

test('a revoked key takes the keys that it made with it if asked, over any number of hands, and a chain has an end', async () => {
  const account = await api.account();
  const scopes = ['keys:read', 'keys:write'];
  const made = async (key: string) => (await post(key, { scopes })).json as { id: string; key: string };
  const leaked = await made(account.key);
  const child = await made(leaked.key);
  const grandchild = await made(child.key);
  const beside = await made(account.key);
  const makerOf = async (id: string) =>
    (await api.call('GET', '/keys?limit=100', { key: account.key })).json.data.find(
      (each: { id: string }) => each.id === id,
    ).made_by;
  expect(await makerOf(grandchild.id)).toBe(child.id);
  const statusOf = async ({ key }: { key: string }) => (await api.call('GET', '/keys', { key })).status;
  const all = async () => Promise.all([leaked, child, grandchild, beside].map(statusOf));
  // Whoever has the leaked key may cover it up: a maker that is revoked, and gone from the list.
  await api.call('DELETE', `/keys/${child.id}`, { key: grandchild.key });
  await api.pool.query('delete from api_keys where id = $1', [child.id]);
  await api.call('DELETE', `/keys/${leaked.id}`, { key: account.key });
  expect(await all()).toEqual([401, 401, 200, 200]);
  const revoke = (id: string) => api.call('DELETE', `/keys/${id}?with_made=true`, { key: account.key });
  expect((await revoke(child.id)).status).toBe(204);
  expect(await all()).toEqual([401, 401, 401, 200]);
  expect((await auditOf(account))[0]).toMatchObject({
    action: 'key.revoked',
    subject_id: grandchild.id,
    details: { made_by: child.id },
  });
  expect((await revoke(leaked.id)).status).toBe(204);
  expect((await revoke('key_none')).status).toBe(404);
  let last = beside;
  for (let depth = 1; depth < 20; depth += 1) last = await made(last.key);
  expect((await post(last.key, { scopes })).status).toBe(409);
  expect((await post(account.key, { scopes })).status).toBe(201);
  const first = await api.operator('GET', `/admin/accounts/${account.id}/keys?limit=100`);
  const own = first.json.data.at(-1).id;
  await api.operator('DELETE', `/admin/accounts/${account.id}/keys/${own}?with_made=true`);
  expect(await statusOf(account)).toBe(401);
  expect(await statusOf(last)).toBe(401);
});

test('a key that is made while its maker is revoked with all that it made is revoked with it', async () => {
  const account = await api.account();
  const [{ id }] = (await api.call('GET', '/keys', { key: account.key })).json.data;
  const db = await api.pool.connect();
  onTestFinished(() => db.release());
  await db.query('begin');
  // As a request that has made a key and has not committed.
  await db.query('select from api_keys where id = $1 for share', [id]);
  await db.query(
    `insert into api_keys (id, account_id, key_hash, scopes, makers) values ('key_late', $1, '\\x01', '{}', array[$2])`,
    [account.id, id],
  );
  const revoked = api.operator('DELETE', `/admin/accounts/${account.id}/keys/${id}?with_made=true`);
  await waitFor('the revocation to wait for the new key', async () => {
    const { rows } = await api.doorPool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });
  await db.query('commit');
  expect((await revoked).status).toBe(204);
  const { rows } = await api.pool.query('select from api_keys where account_id = $1 and revoked_at is null', [
    account.id,
  ]);
  expect(rows).toHaveLength(0);
});

test('without scopes the operator makes a key that makes no keys, and lists the keys', async () => {
  const { id } = await api.account();
  const made = await api.operator('POST', `/admin/accounts/${id}/keys`, {});
  expect(made.json.scopes).toEqual(SCOPES.filter((scope) => scope !== 'keys:write'));
  expect((await post(made.json.key, { scopes: ['exports:read'] })).json.scope).toBe('keys:write');
  const listed = await api.operator('GET', `/admin/accounts/${id}/keys?limit=1`);
  expect(listed.json).toMatchObject({ data: [{ id: made.json.id }], has_more: true });
  expect((await api.call('GET', `/keys?account_id=${id}`, { key: ADMIN_KEY })).json.data).toHaveLength(2);
});

test('an account has a hundred keys at most, also when many are made at once, and a request twice makes one', async () => {
  const account = await api.account();
  await api.pool.query(
    `insert into api_keys (id, account_id, key_hash, scopes, revoked_at)
     select 'key_' || $1 || n, $1, sha256(convert_to($1 || n, 'UTF8')), '{}',
       case when n > 97 then now() - interval '1 day' + make_interval(secs => n) end
     from generate_series(1, 1100) n`,
    [account.id],
  );
  const headers = { 'idempotency-key': 'once' };
  const twice = [
    await post(account.key, { scopes: ['exports:read'] }, headers),
    await post(account.key, { scopes: ['exports:read'] }, headers),
  ];
  expect(twice[0]?.json.key).toBe(twice[1]?.json.key);
  const many = await Promise.all(
    Array.from({ length: 6 }, () => post(account.key, { scopes: ['exports:read'] })),
  );
  expect(many.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
  const { rows } = await api.pool.query(
    `select count(*) filter (where revoked_at is null)::int as used, count(*)::int as kept,
       bool_or(id = 'key_' || $1 || '1100') as has_newest, bool_or(id = 'key_' || $1 || '98') as has_oldest
     from api_keys where account_id = $1`,
    [account.id],
  );
  expect(rows).toEqual([{ used: 100, kept: 1_100, has_newest: true, has_oldest: false }]);
});

test('a key is listed with the minute of its last use', async () => {
  const account = await api.account();
  const used = async () =>
    (await api.operator('GET', `/admin/accounts/${account.id}/keys`)).json.data[0].last_used_at as
      | string
      | null;
  expect(await used()).toBeNull();
  await api.call('GET', '/account', { key: account.key });
  await waitFor('the use to be noted', async () => (await used()) !== null);
  const first = await used();
  await api.call('GET', '/account', { key: account.key });
  expect(await used()).toBe(first);
  await api.pool.query(
    `update api_keys set last_used_at = now() - interval '61 seconds' where account_id = $1`,
    [account.id],
  );
  const earlier = await used();
  await api.call('GET', '/account', { key: account.key });
  await waitFor('the later use to be noted', async () => (await used()) !== earlier);
});

test('the audit log is found by actor and time, and a cursor is for its filter', async () => {
  const account = await api.account();
  const made = await post(account.key, { scopes: ['keys:write', 'exports:read'] });
  for (let n = 0; n < 3; n += 1) await post(made.json.key, { scopes: ['exports:read'] });
  await api.pool.query(
    'update audit_log set at = now() - make_interval(mins => 1000 - id::int % 1000) where account_id = $1',
    [account.id],
  );
  const own = async (query: string) => api.call('GET', `/audit?${query}`, { key: account.key });
  const byKey = (await own(`actor=${made.json.id}`)).json.data;
  expect(byKey.map(({ action }: { action: string }) => action)).toEqual(Array(3).fill('key.created'));
  expect((await own('actor=nobody')).json.data).toEqual([]);
  const { at } = byKey[1];
  expect(
    (await own(`actor=${made.json.id}&from=${at}&to=${byKey[0].at}`)).json.data.map(
      (e: { id: string }) => e.id,
    ),
  ).toEqual([byKey[1].id]);
  expect((await own('from=yesterday')).status).toBe(422);
  const page = await own(`actor=${made.json.id}&limit=1`);
  expect((await own(`actor=operator&cursor=${page.json.next_cursor}`)).status).toBe(422);
  expect((await own(`actor=${made.json.id}&cursor=${page.json.next_cursor}`)).json.data).toEqual(
    byKey.slice(1),
  );
});

test('the command line lists, makes and revokes keys', async () => {
  const { key } = await api.account();
  const run = (verb: string, words: readonly string[]) => {
    const command = keyCommands.find(({ name }) => name === `keys ${verb}`);
    if (command === undefined) throw new Error(`there is no keys ${verb}`);
    return runCommand(command, words, {
      env: { TANDEM_URL: api.url, TANDEM_API_KEY: key },
      home: '/nowhere',
    });
  };
  const made = await run('create', [
    '--scopes',
    'exports:read,events:read',
    '--name',
    'a\u001b[31m',
    '--json',
  ]);
  expect(made.code).toBe(0);
  const { id, key: secret } = JSON.parse(made.lines[0] ?? '');
  expect(secret).toMatch(/^tk_/);
  const listed = (await run('list', [])).lines.join('\n');
  expect(listed).toMatch(
    new RegExp(`${id} +${secret.slice(0, 9)} +a.u001b.31m +in use +- +exports:read,events:read`),
  );
  expect((await run('revoke', [id])).lines).toEqual([`revoked ${id}`]);
  expect((await run('list', [])).lines.join('\n')).toMatch(new RegExp(`${id} .*revoked`));
  expect((await run('create', ['--scopes', 'admin'])).code).toBe(1);
});
