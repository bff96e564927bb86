import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestApi } from '../../support/api-server.ts';
import { completeExport } from '../../support/complete-export.ts';
import { openExportsApi, outboxOf, postExport } from '../../support/exports-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openExportsApi();
});
afterAll(() => api?.[Symbol.asyncDispose]());

const post = (key: string, body: unknown) => postExport(api, key, body);

test('a full queue is told with the jobs in it, and is one account’s alone', async () => {
  const mine = await api.account();
  const other = await api.account();
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.push((await post(mine.key, { resource: 'invoices' })).json.id);
  const refused = await post(mine.key, { resource: 'invoices' });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.json.active_jobs.map(({ id }: { id: string }) => id)).toEqual(ids);
  const estimate = async ({ key }: { key: string }) =>
    (await post(key, { resource: 'invoices', dry_run: true })).json.refusal;
  expect(await estimate(mine)).toEqual({ code: 'too_many', detail: refused.json.detail });
  expect(await estimate(other)).toBeNull();
  expect((await post(other.key, { resource: 'invoices' })).json.queue_position).toBe(1);
  expect((await api.call('GET', `/exports/${ids[2]}`, { key: mine.key })).json.queue_position).toBe(3);
});

test('a pending export is cancelled at once, and again with the same answer', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  const cancel = () => api.call('POST', `/exports/${json.id}/cancel`, { key });
  const first = await cancel();
  expect(first).toMatchObject({ status: 202, json: { status: 'cancelled', phase: 'done' } });
  expect((await cancel()).json).toEqual(first.json);
  expect(await outboxOf(api, json.id)).toEqual(['ExtractExport', 'JobCreated', 'JobCancelled']);
});

test('a running export is told to stop, once', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting' where id = $1`,
    [json.id],
  );
  const cancel = () => api.call('POST', `/exports/${json.id}/cancel`, { key });
  expect((await cancel()).json.status).toBe('cancelling');
  expect((await cancel()).json.status).toBe('cancelling');
  expect(await outboxOf(api, json.id)).toEqual(['ExtractExport', 'JobCreated', 'CancelJob']);
});

test('an export is paused and resumed, and its account is told until when', async () => {
  const { key, id: accountId } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  const ask = (verb: string) => api.call('POST', `/exports/${json.id}/${verb}`, { key });
  const paused = await ask('pause');
  expect(paused).toMatchObject({
    status: 202,
    json: { status: 'paused', phase: 'queued', pause_expires_at: expect.any(String), eta_seconds: null },
  });
  expect(paused.json.queue_position).toBeUndefined();
  expect(paused.headers.get('location')).toBe(`/exports/${json.id}`);
  const leftMs = Date.parse(paused.json.pause_expires_at) - Date.now();
  expect(leftMs / 86_400_000).toBeCloseTo(7, 1);
  expect((await ask('pause')).json).toEqual(paused.json);
  expect((await api.call('GET', '/exports?status=paused', { key })).json.data).toEqual([paused.json]);
  expect((await api.call('GET', '/account', { key })).json.exports).toMatchObject({
    running: 0,
    queued: 0,
    paused: 1,
    jobs: [{ id: json.id, status: 'paused' }],
  });
  expect((await api.call('DELETE', `/exports/${json.id}`, { key })).status).toBe(409);
  expect((await ask('resume')).json).toEqual(json);
  expect((await ask('resume')).json).toEqual(json);
  expect(await outboxOf(api, json.id)).toEqual(['ExtractExport', 'JobCreated', 'ExtractExport']);
  await ask('pause');
  expect((await ask('cancel')).json).toMatchObject({ status: 'cancelled', phase: 'done' });
  for (const verb of ['pause', 'resume']) {
    expect(await ask(verb)).toMatchObject({ status: 409, json: { export_status: 'cancelled' } });
  }
  const other = await api.account();
  for (const verb of ['pause', 'resume']) {
    const refused = await api.call('POST', `/exports/${json.id}/${verb}`, { key: other.key });
    expect(refused.status).toBe(404);
  }
  const { rows } = await api.pool.query<{ action: string }>(
    'select action from audit_log where account_id = $1 and subject_id = $2 order by id',
    [accountId, json.id],
  );
  expect(rows.map(({ action }) => action)).toEqual(
    ['created', 'paused', 'paused', 'resumed', 'resumed', 'paused', 'cancelled'].map(
      (verb) => `export.${verb}`,
    ),
  );
});

test('an export under a single snapshot says why it can not be paused', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', snapshot_kind = 'single', started_at = now(),
       snapshot = jsonb_build_object('taken_at', now(), 'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb)
     where id = $1`,
    [json.id],
  );
  expect(await api.call('POST', `/exports/${json.id}/pause`, { key })).toMatchObject({
    status: 409,
    json: { export_status: 'running', detail: expect.stringContaining('snapshot: chunked') },
  });
});

test('paused exports take places in the queue, so that their number has a limit', async () => {
  const { key } = await api.account();
  for (let i = 0; i < 3; i++) {
    const { json } = await post(key, { resource: 'invoices' });
    await api.call('POST', `/exports/${json.id}/pause`, { key });
  }
  expect((await post(key, { resource: 'invoices' })).status).toBe(429);
  expect((await post(key, { resource: 'invoices', dry_run: true })).json.refusal).toMatchObject({
    code: 'too_many',
  });
});

test('what has ended can not be cancelled, and what runs can not be deleted', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  expect((await api.call('DELETE', `/exports/${json.id}`, { key })).status).toBe(409);
  await completeExport(api, json.id, 'x\n');
  const refused = await api.call('POST', `/exports/${json.id}/cancel`, { key });
  expect(refused).toMatchObject({ status: 409, json: { export_status: 'completed' } });
});
