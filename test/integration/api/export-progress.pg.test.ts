import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordChunksWritten } from '../../../shared/control/chunks/chunk-attempts.ts';
import { claimChunks } from '../../../shared/control/chunks/claim-chunk.ts';
import { finishChunks, releaseChunks } from '../../../shared/control/chunks/hold-chunks.ts';
import { ADMIN_KEY, type TestApi } from '../../support/api-server.ts';
import { openExportsApi, postExport } from '../../support/exports-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openExportsApi();
});
afterAll(() => api?.[Symbol.asyncDispose]());

const post = (key: string, body: unknown) => postExport(api, key, body);

test('progress and time left follow the rows, once there is something to go on', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resource: 'invoices' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', rows_estimated = 100, rows_extracted = 60,
       rows_written = 40, started_at = now(), snapshot = jsonb_build_object('taken_at', now() - interval '10 s',
         'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb) where id = $1`,
    [job.id],
  );
  const { json } = await api.call('GET', `/exports/${job.id}`, { key });
  expect(json).toMatchObject({ progress: 0.5, rows: { estimated: 100, extracted: 60, written: 40 } });
  expect(json.eta_seconds).toBeGreaterThanOrEqual(9);
  expect(json.eta_seconds).toBeLessThan(60);
});

test('progress never falls and the time left never grows, whoever asks, also when an export starts again', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resource: 'invoices' });
  const advance = (rows: number, secondsAgo: number) =>
    api.pool.query(
      `/* arranged */ update exports set status = 'running', phase = 'extracting', rows_estimated = 100, rows_extracted = $2,
         rows_written = $2, started_at = now(), snapshot = jsonb_build_object('taken_at', now() - make_interval(secs => $3),
         'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb) where id = $1`,
      [job.id, rows, secondsAgo],
    );
  const shown = async () => {
    const one = (await api.call('GET', `/exports/${job.id}`, { key })).json;
    const [listed] = (await api.call('GET', '/exports', { key })).json.data;
    expect([listed.progress, listed.eta_seconds]).toEqual([one.progress, one.eta_seconds]);
    return [one.progress, one.eta_seconds];
  };
  await advance(50, 20.5);
  expect(await shown()).toEqual([0.5, 25]);
  // A little slower, then much slower, then a new snapshot, then fast.
  await advance(50, 26);
  expect(await shown()).toEqual([0.5, 25]);
  await advance(52, 100);
  expect(await shown()).toEqual([0.52, null]);
  await advance(0, 0);
  expect(await shown()).toEqual([0.52, null]);
  await advance(60, 12);
  expect(await shown()).toEqual([0.6, 9]);

  // A request does not wait for whoever reports a chunk at this moment.
  await advance(70, 12);
  const client = await api.pool.connect();
  try {
    await client.query('begin');
    await client.query('select from exports where id = $1 for update', [job.id]);
    expect((await shown())[0]).toBe(0.7);
    await client.query('rollback');
  } finally {
    client.release();
  }
});

test('the chunks of an export show how far each is, a page at a time, to their own account', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resources: ['invoices', 'customers'] });
  const chunks = async (query = '', by = key) =>
    api.call('GET', `/exports/${job.id}/chunks${query}`, { key: by });
  const none = { planned: 0, reading: 0, extracted: 0, written: 0 };
  expect((await chunks()).json).toEqual({
    data: [],
    has_more: false,
    next_cursor: null,
    counts: none,
    resources: [],
    is_planned: false,
  });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', run_attempt = 1, planned_at = now(),
       snapshot = '{"xmin": "1", "xmax": "1", "xip": []}' where id = $1`,
    [job.id],
  );
  await api.pool.query(
    `insert into export_chunks (export_id, resource, chunk, run_attempt, state, snapshot_name, rows_planned)
     select $1, resource, chunk, 1, 'planned', 's', 10 from unnest(array['invoices', 'customers']) resource, generate_series(0, 2) chunk`,
    [job.id],
  );
  // What the services do to them: two claimed, one of them read and written, one given back.
  const claim = () => claimChunks(api.pool, 'reader', { maxChunks: 1, maxRows: 1 });
  const [first, second] = [await claim(), await claim()];
  if (first === undefined || second === undefined) throw new Error('no chunk is left');
  expect(
    await finishChunks(api.pool, first, [{ rows: 10, recordKeys: null, readLsn: null, seen: null }]),
  ).toBe(true);
  expect((await chunks('?state=extracted')).json.data).toMatchObject([{ chunk: 0, written_at: null }]);
  const [{ exportId, resource, chunk, attempt }] = first;
  const part = { path: 'p', rows: 10, bytes: 100, schemaId: 1 };
  await recordChunksWritten(api.pool, [{ chunkAttempt: { exportId, resource, chunk, attempt }, part }]);
  const customers = (await chunks('?resource=customers')).json;
  expect(customers).toEqual({
    data: [
      {
        resource: 'customers',
        chunk: 0,
        state: 'written',
        rows: { planned: 10, extracted: 10, written: 10 },
        attempts: 1,
        started_at: expect.any(String),
        extracted_at: expect.any(String),
        written_at: expect.any(String),
      },
      expect.objectContaining({
        chunk: 1,
        state: 'reading',
        attempts: 1,
        started_at: expect.any(String),
        extracted_at: null,
      }),
      expect.objectContaining({
        chunk: 2,
        state: 'planned',
        attempts: 0,
        started_at: null,
        written_at: null,
      }),
    ],
    has_more: false,
    next_cursor: null,
    counts: { ...none, planned: 4, reading: 1, written: 1 },
    resources: [
      {
        resource: 'customers',
        counts: { ...none, planned: 1, reading: 1, written: 1 },
        rows: { planned: 30, extracted: 10, written: 10 },
      },
      {
        resource: 'invoices',
        counts: { ...none, planned: 3 },
        rows: { planned: 30, extracted: 0, written: 0 },
      },
    ],
    is_planned: true,
  });
  await releaseChunks(api.pool, second, { delayMs: 0, ending: 'unexplained' });
  const page = (await chunks('?limit=4')).json;
  expect(page).toMatchObject({
    has_more: true,
    data: [{}, { state: 'planned', attempts: 1, started_at: null }, {}, {}],
  });
  const rest = (await chunks(`?limit=4&cursor=${page.next_cursor}`)).json;
  expect(rest).toMatchObject({ has_more: false, data: [{ resource: 'invoices', chunk: 1 }, { chunk: 2 }] });
  // A cursor holds for its filter and its export; other accounts and keys without the scope see nothing.
  expect((await chunks(`?state=planned&cursor=${page.next_cursor}`)).status).toBe(422);
  expect((await chunks('?state=done')).status).toBe(422);
  expect((await chunks('', (await api.account()).key)).status).toBe(404);
  expect((await chunks('', (await api.account(['exports:write'])).key)).status).toBe(403);
  expect((await chunks('', ADMIN_KEY)).json.counts).toEqual(page.counts);
});
