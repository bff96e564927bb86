import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sweepExports } from '../../../services/api/exports/retention-sweeper.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';

const DAY_MS = 86_400_000;

let api: TestApi;
let account: { id: string; key: string };
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(async () => {
  account = await api.account();
});

const call = (method: string, path: string) => api.call(method, path, { key: account.key });

/** An export completed now, with one file in storage, kept for so many days. */
async function completedExport(
  keptDays: number,
  content = '{"id":1}\n',
): Promise<{ id: string; expiresAtMs: number }> {
  const { json } = await api.call('POST', '/exports', { key: account.key, body: { resource: 'invoices' } });
  const path = `exports/${json.id}/invoices.jsonl`;
  const writer = await api.storage.openWriter(path);
  await writer.append(content);
  await writer.commit();
  const files = [
    { name: 'invoices.jsonl', resource: 'invoices', rows: 1, bytes: content.length, sha256: 'ab', path },
  ];
  const { rows } = await api.pool.query<{ expires_at: Date }>(
    `/* arranged */ update exports set status = 'completed', phase = 'done', files = $2,
       completed_at = date_trunc('milliseconds', now()),
       expires_at = date_trunc('milliseconds', now()) + make_interval(days => $3) where id = $1 returning expires_at`,
    [json.id, JSON.stringify(files), keptDays],
  );
  return { id: json.id, expiresAtMs: rows[0]?.expires_at.getTime() ?? 0 };
}
const keepAt = (nowMs: number, storage: { deleteFolder(folder: string): Promise<void> } = api.storage) =>
  sweepExports({ pool: api.pool, storage, now: () => nowMs, log: silentLog });
const told = async () => {
  const { rows } = await api.pool.query<{ type: string }>(
    'select type from account_events where account_id = $1 order by commit_lsn',
    [account.id],
  );
  return rows.map(({ type }) => type);
};
const audit = async (query = '') => {
  const { json } = await api.call('GET', `/admin/audit?account_id=${account.id}${query}`, { key: ADMIN_KEY });
  return json.data as { action: string; actor: string; subject_id: string; details: unknown }[];
};

test('files are kept until their time is over; then they are gone, and links say so', async () => {
  const { id, expiresAtMs } = await completedExport(90);
  const [file] = (await call('GET', `/exports/${id}`)).json.files;
  await keepAt(expiresAtMs - 1);
  expect((await api.call('GET', file.url)).status).toBe(200);
  await keepAt(expiresAtMs);
  expect(await api.storage.stat(`exports/${id}/invoices.jsonl`)).toBeUndefined();
  expect((await call('GET', `/exports/${id}`)).json).toMatchObject({ status: 'expired', files: [] });
  expect((await api.call('GET', file.url)).status).toBe(410);
  expect((await call('GET', `/exports/${id}/files/invoices.jsonl`)).status).toBe(410);
});

test('a slow download outlives the end of its file’s time', async () => {
  const line = `${'x'.repeat(999)}\n`;
  const { id, expiresAtMs } = await completedExport(90, line.repeat(16_000));
  const [file] = (await call('GET', `/exports/${id}`)).json.files;
  const { body } = await fetch(new URL(file.url, api.url));
  const reader = body?.getReader();
  const first = await reader?.read();
  await keepAt(expiresAtMs);
  expect((await api.call('GET', file.url)).status).toBe(410);
  let byteCount = first?.value?.byteLength ?? 0;
  for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
    byteCount += next.value.byteLength;
  }
  expect(byteCount).toBe(16_000_000);
});

test('the account is told once, a week before, or at half the time when there is less', async () => {
  const { expiresAtMs } = await completedExport(90);
  await keepAt(expiresAtMs - 7 * DAY_MS - 1);
  expect(await told()).toEqual(['export.completed']);
  await keepAt(expiresAtMs - 7 * DAY_MS);
  await keepAt(expiresAtMs - 6 * DAY_MS);
  expect(await told()).toEqual(['export.completed', 'export.expiring']);
  account = await api.account();
  const short = await completedExport(2);
  await keepAt(short.expiresAtMs - DAY_MS - 1);
  expect(await told()).toEqual(['export.completed']);
  await keepAt(short.expiresAtMs - DAY_MS);
  expect(await told()).toEqual(['export.completed', 'export.expiring']);
});

test('an export that nobody resumes in time fails and says so, with its key kept for a while', async () => {
  const headers = { 'idempotency-key': 'paused' };
  const { json } = await api.call('POST', '/exports', {
    key: account.key,
    body: { resource: 'invoices' },
    headers,
  });
  const { json: paused } = await call('POST', `/exports/${json.id}/pause`);
  const endsAtMs = Date.parse(paused.pause_expires_at);
  const hasKeyForEver = async () => {
    const { rows } = await api.pool.query<{ is_for_ever: boolean }>(
      'select not isfinite(expires_at) as is_for_ever from idempotency_keys where job_id = $1',
      [json.id],
    );
    return rows[0]?.is_for_ever;
  };
  expect(await hasKeyForEver()).toBe(true);
  await keepAt(endsAtMs - 1);
  expect((await call('GET', `/exports/${json.id}`)).json).toEqual(paused);
  // The time has milliseconds in the response, and microseconds in the store.
  await keepAt(endsAtMs + 1);
  const failed = await call('GET', `/exports/${json.id}`);
  expect(failed.json).toMatchObject({ status: 'failed', phase: 'done', error: { code: 'pause_expired' } });
  expect(failed.json.pause_expires_at).toBeUndefined();
  expect(await told()).toEqual(['export.failed']);
  expect(await hasKeyForEver()).toBe(false);
});

test('files that could not be removed are removed by the next round, and are in the way of no others', async () => {
  const { id, expiresAtMs } = await completedExport(1);
  const removed: string[] = [];
  const failing = {
    deleteFolder: async (folder: string) => {
      if (folder.endsWith(id)) throw new Error('storage is away');
      removed.push(folder);
    },
  };
  const other = await completedExport(1);
  await keepAt(other.expiresAtMs, failing);
  expect(removed).toContain(`exports/${other.id}`);
  expect((await call('GET', `/exports/${id}`)).json.status).toBe('expired');
  expect(await api.storage.stat(`exports/${id}/invoices.jsonl`)).toBeDefined();
  await keepAt(expiresAtMs);
  expect(await api.storage.stat(`exports/${id}/invoices.jsonl`)).toBeUndefined();
});

test('an exact hand-off from an export outlives its files', async () => {
  const { id, expiresAtMs } = await completedExport(1);
  await api.pool.query(
    `update exports set start_lsn = '0/10', sealed_lsn = '0/40',
       snapshot = '{"taken_at": "${new Date().toISOString()}", "lsn": "0/30", "xmin": "1", "xmax": "2", "xip": []}'
     where id = $1`,
    [id],
  );
  await keepAt(expiresAtMs);
  expect((await call('GET', `/events?after_export=${id}`)).status).toBe(200);
});

test('creations, downloads and keys are on record, with who did it', async () => {
  const { id } = await completedExport(90);
  const [file] = (await call('GET', `/exports/${id}`)).json.files;
  await api.call('GET', file.url);
  await api.call('GET', file.url, { headers: { range: 'bytes=0-1' } });
  await call('GET', `/exports/${id}/files/invoices.jsonl`);
  await call('DELETE', `/exports/${id}`);
  const entries = await audit();
  const keyId = entries.at(-2)?.subject_id;
  expect(entries).toMatchObject([
    { action: 'export.deleted', actor: keyId, subject_id: id },
    { action: 'export.link_given', actor: keyId, details: { file: 'invoices.jsonl' } },
    { action: 'export.downloaded', actor: 'link', details: { range: 'bytes=0-1' } },
    { action: 'export.downloaded', actor: 'link', details: { file: 'invoices.jsonl' } },
    { action: 'export.created', actor: keyId, details: { resources: ['invoices'], format: 'jsonl' } },
    { action: 'key.created', actor: 'operator' },
    { action: 'account.created', actor: 'operator' },
  ]);
  expect((await audit(`&subject_id=${id}&action=export.created`)).map(({ action }) => action)).toEqual([
    'export.created',
  ]);
  expect((await call('GET', '/admin/audit')).status).toBe(403);
  expect((await api.call('GET', '/admin/audit?action=nothing', { key: ADMIN_KEY })).status).toBe(422);
});

test('an account reads its own part of the log, and nobody else’s', async () => {
  const { id } = await completedExport(90);
  const other = await api.account();
  await api.call('POST', '/exports', { key: ADMIN_KEY, body: { resource: 'invoices', account_id: '*' } });
  const own = (await call('GET', '/audit')).json.data;
  expect(own).toEqual(await audit());
  expect(own).toMatchObject([{ action: 'export.created', subject_id: id }, {}, {}]);
  expect((await call('GET', '/audit?action=key.created')).json.data).toEqual(own.slice(1, 2));
  const first = (await call('GET', '/audit?limit=1')).json;
  expect((await call('GET', `/audit?limit=5&cursor=${first.next_cursor}`)).json.data).toEqual(own.slice(1));
  expect((await api.call('GET', `/audit?cursor=${first.next_cursor}`, { key: other.key })).status).toBe(422);
  expect((await call('GET', `/audit?account_id=${other.id}`)).status).toBe(422);
  expect((await call('GET', `/audit?subject_id=${other.id}`)).json.data).toEqual([]);
  expect((await api.call('GET', '/audit', { key: ADMIN_KEY })).status).toBe(422);
  const asOperator = await api.call('GET', `/audit?account_id=${account.id}`, { key: ADMIN_KEY });
  expect(asOperator.json.data).toEqual(own);
  // Names and scopes of keys are for those who may read keys.
  const made = { name: 'Warehouse', scopes: ['exports:read', 'webhooks:read', 'events:read', 'bulk:read'] };
  const limited = (
    await api.call('POST', `/admin/accounts/${account.id}/keys`, { key: ADMIN_KEY, body: made })
  ).json;
  const seen = async (key: string) =>
    (await api.call('GET', `/audit?subject_id=${limited.id}`, { key })).json.data;
  expect(await seen(limited.key)).toMatchObject([{ action: 'key.created', details: {} }]);
  expect((await seen(limited.key))[0].details).toEqual({});
  expect((await seen(account.key))[0].details).toEqual(made);
  const reduced = await api.account(['exports:read', 'webhooks:read', 'events:read']);
  expect(await api.call('GET', '/audit', { key: reduced.key })).toMatchObject({
    status: 403,
    json: { scope: 'bulk:read' },
  });
});

test('what is asked of a job or an event is recorded with it, or is not done', async () => {
  const { id } = await completedExport(90);
  const waiting = (await api.call('POST', '/exports', { key: account.key, body: { resource: 'invoices' } }))
    .json.id;
  const body = { url: 'https://receiver.example', events: ['*'] };
  const webhook = (await api.call('POST', '/webhooks', { key: account.key, body })).json.id;
  await api.pool.query(
    `insert into bulk_jobs (id, account_id, resource, operation, request, status, estimated, pause_reason)
     values ('blk_r', $1, 'invoices', 'void', '{}', 'pending', 1, null), ('blk_p', $1, 'invoices', 'void', '{}', 'paused', 1, 'requested')`,
    [account.id],
  );
  await api.pool.query('create table events_all partition of events default');
  await api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     values ('0/F0', 1, $1, 100, 'invoice.updated', 'invoices', '["1"]', now(), '{}')`,
    [account.id],
  );
  await api.pool.query(`update webhooks set cursor_lsn = '0/FF' where id = $1`, [webhook]);
  const state = async () =>
    (
      await api.pool.query(
        `select id, status from exports where account_id = $1 union all select id, status from bulk_jobs where account_id = $1
         union all select 'parked', count(*)::text from webhook_parked where webhook_id = $2 order by 1`,
        [account.id, webhook],
      )
    ).rows;
  const before = await state();
  const asked = [
    ['DELETE', `/exports/${id}`],
    ['POST', `/exports/${waiting}/cancel`],
    ['POST', '/bulk/operations/blk_r/pause'],
    ['POST', '/bulk/operations/blk_p/resume'],
    ['POST', '/bulk/operations/blk_r/cancel'],
    ['POST', '/events/evt_00000000000000F00000000001/redeliver', { webhook_id: webhook }],
  ] as const;
  const ask = (method: string, path: string, sent?: unknown) =>
    api.call(method, path, { key: account.key, ...(sent === undefined ? {} : { body: sent }) });
  await api.pool.query('alter table audit_log rename to audit_log_away');
  try {
    for (const [method, path, sent] of asked) {
      expect((await ask(method, path, sent)).status, path).toBe(500);
      expect(await state(), path).toEqual(before);
    }
  } finally {
    await api.pool.query('alter table audit_log_away rename to audit_log');
  }
  for (const [method, path, sent] of asked)
    expect((await ask(method, path, sent)).status, path).toBeLessThan(300);
  expect(await state()).not.toEqual(before);
});

test('the audit log is read a page at a time, and forgets what is older than its time', async () => {
  await completedExport(90);
  const first = await api.call('GET', `/admin/audit?account_id=${account.id}&limit=1`, { key: ADMIN_KEY });
  expect(first.json).toMatchObject({ has_more: true, data: [{ action: 'export.created' }] });
  const rest = await api.call(
    'GET',
    `/admin/audit?account_id=${account.id}&limit=2&cursor=${first.json.next_cursor}`,
    { key: ADMIN_KEY },
  );
  expect(rest.json).toMatchObject({
    has_more: false,
    data: [{ action: 'key.created' }, { action: 'account.created' }],
  });
  await keepAt(Date.now() + 399 * DAY_MS);
  expect(await audit()).not.toEqual([]);
  await keepAt(Date.now() + 401 * DAY_MS);
  expect(await audit()).toEqual([]);
});
