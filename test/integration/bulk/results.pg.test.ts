import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { createLog } from '../../../shared/runtime/log.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { waitFor } from '../../support/wait-for.ts';

let world: BulkWorld;
/** What the api has to say to its operator. */
const lines: { event: string }[] = [];
/** A job with results of every kind. */
let job: { id: string; key: string; ids: string[] };
beforeAll(async () => {
  world = await openBulkWorld({ log: createLog('warn', {}, (line) => lines.push(JSON.parse(line))) });
  const { key, ids } = await world.account(300);
  const [done = '', ...rest] = ids;
  await world.submit(key, { resource: 'invoices', operation: 'void', ids: [done] });
  await world.startWorker();
  const { json } = await world.submit(key, {
    resource: 'invoices',
    operation: 'void',
    async: true,
    ids: [done, '=1+1', '999999999', ...rest],
  });
  expect(await world.until(key, json.job_id)).toMatchObject({ succeeded: 299, failed: 2, skipped: 1 });
  job = { id: json.job_id, key, ids };
});
afterAll(() => world[Symbol.asyncDispose]());

const download = (query: string, { id, key }: { id: string; key: string } = job) =>
  fetch(`${world.api.url}/bulk/operations/${id}/results?${query}`, {
    headers: { authorization: `Bearer ${key}` },
  });

test('as JSON lines, a file holds every result that pages show, in their order', async () => {
  const response = await download('format=jsonl');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/jsonl');
  expect(response.headers.get('content-disposition')).toBe(`attachment; filename="${job.id}-results.jsonl"`);
  const lines = (await response.text()).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual(await world.results(job.key, job.id));
});

test('as CSV, null is an empty cell, and only the failed ones when asked for', async () => {
  const text = await (await download('format=csv&status=failed')).text();
  const [header, first, second, end] = text.split('\r\n');
  expect(header).toBe('item_id,status,code,message,line,at');
  expect(first).toMatch(/^=1\+1,failed,invalid_id,is not of type bigint,,2/);
  expect(second).toMatch(/^999999999,failed,not_found,There is no such record\.,,2/);
  expect(end).toBe('');
  expect(await (await download('format=csv&status=failed&csv_safe=true')).text()).toContain("\n'=1+1,");
  const packed = await download('format=csv&status=failed&compression=gzip');
  expect(packed.headers.get('content-type')).toBe('application/gzip');
  expect(gunzipSync(Buffer.from(await packed.arrayBuffer())).toString()).toBe(text);
});

test('as Parquet, columns have their types, and nothing stays on the disk', async () => {
  // Other files of tests, and runs that were killed, leave theirs in the machine's.
  vi.stubEnv('TMPDIR', temporaryDirectory());
  onTestFinished(() => void vi.unstubAllEnvs());
  const response = await download('format=parquet');
  expect(response.headers.get('content-type')).toBe('application/vnd.apache.parquet');
  const folder = await mkdtemp(join(tmpdir(), 'tandem-read-'));
  try {
    await writeFile(join(folder, 'f.parquet'), Buffer.from(await response.arrayBuffer()));
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    const connection = await instance.connect();
    const read = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJson();
    const file = `'${join(folder, 'f.parquet')}'`;
    expect(
      await read(`select status, count(*)::int, count(code)::int from ${file} group by 1 order by 1`),
    ).toEqual([
      ['failed', 2, 2],
      ['skipped', 1, 1],
      ['succeeded', 299, 0],
    ]);
    expect(await read(`select typeof("at"), typeof(line) from ${file} limit 1`)).toEqual([
      ['TIMESTAMP WITH TIME ZONE', 'INTEGER'],
    ]);
    connection.closeSync();
    instance.closeSync();
  } finally {
    await rm(folder, { recursive: true });
  }
  await waitFor('the scratch folder is removed', async () =>
    (await readdir(tmpdir())).every((name) => !name.startsWith('tandem-results-')),
  );
});

test('what does not go together is told, and so is a job that has not ended or is another account’s', async () => {
  const pointers = async (query: string) => {
    const response = await download(query);
    expect(response.status).toBe(422);
    return ((await response.json()) as { errors: { pointer: string }[] }).errors.map(
      ({ pointer }) => pointer,
    );
  };
  expect(await pointers('format=csv&limit=5')).toEqual(['limit']);
  expect(await pointers('format=jsonl&csv_safe=true')).toEqual(['csv_safe']);
  expect(await pointers('format=parquet&compression=gzip')).toEqual(['compression']);
  expect(await pointers('compression=gzip')).toEqual(['compression']);
  expect(await pointers('format=xlsx')).toEqual(['format']);
  const { key, id, ids } = await world.account(2);
  expect((await download('format=csv', { id: job.id, key })).status).toBe(404);
  await world.api.pool.query('update accounts set bulk_quota = 0 where id = $1', [id]);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', async: true, ids });
  const early = await download('format=csv', { id: json.job_id, key });
  expect(early.status).toBe(409);
  expect(await early.json()).toMatchObject({ job_status: expect.stringMatching(/pending|running|paused/) });
});

test('a file that would lack a result is broken off instead of ended', async () => {
  const { rows } = await world.api.pool.query(
    'delete from tandem.bulk_ledger where job_id = $1 and seq = 100 returning *',
    [job.id],
  );
  await expect(download('format=jsonl').then((response) => response.text())).rejects.toThrow();
  await world.api.pool.query(
    `insert into tandem.bulk_ledger select (json_populate_record(null::tandem.bulk_ledger, $1)).*`,
    [JSON.stringify(rows[0])],
  );
  expect((await download('format=jsonl')).status).toBe(200);
});

test('clients that leave give their places back', async () => {
  for (let left = 0; left < 5; left += 1) {
    const stop = new AbortController();
    const response = await fetch(`${world.api.url}/bulk/operations/${job.id}/results?format=parquet`, {
      headers: { authorization: `Bearer ${job.key}` },
      signal: stop.signal,
    });
    stop.abort();
    expect([200, 429]).toContain(response.status);
  }
  await waitFor('there is a place', async () => {
    const response = await download('format=csv');
    await response.arrayBuffer();
    return response.status === 200;
  });
});

test('succeeded results among ever so many others are found by pages that are short instead of late', async () => {
  const { key, ids } = await world.account(1);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', async: true, ids });
  await world.until(key, json.job_id);
  const count = 100_000;
  await world.api.pool.query(
    `insert into tandem.bulk_ledger (job_id, seq, item_id, status, code)
     select $1, n, n::text, case n when $2::int then 'succeeded' else 'skipped' end,
       case n when $2::int then null else 'already_applied' end
     from generate_series(1, $2::int) n`,
    [json.job_id, count],
  );
  await world.api.pool.query('update bulk_jobs set total = $2 where id = $1', [json.job_id, count + 1]);
  const found: string[] = [];
  let pages = 0;
  for (let cursor = ''; ; pages += 1) {
    const path = `/bulk/operations/${json.job_id}/results?status=succeeded${cursor}`;
    const page = await world.api.call('GET', path, { key });
    expect((await world.api.call('GET', path, { key })).json.data).toEqual(page.json.data);
    found.push(...page.json.data.map((item: { item_id: string }) => item.item_id));
    if (!page.json.has_more) break;
    cursor = `&cursor=${encodeURIComponent(page.json.next_cursor)}`;
  }
  expect(found).toEqual([ids[0], String(count)]);
  expect(pages).toBe(5);
});

test('a page far into the results reads no more of the ledger than the first one', async () => {
  const { key, ids } = await world.account(1);
  const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', async: true, ids });
  await world.until(key, json.job_id);
  const count = 200_000;
  await world.api.pool.query(
    `insert into tandem.bulk_ledger (job_id, seq, item_id, status, code, message)
     select $1, n, n::text, case n % 100 when 0 then 'failed' else 'succeeded' end,
       case n % 100 when 0 then 'not_found' end, case n % 100 when 0 then 'There is no such record.' end
     from generate_series(1, $2::int) n`,
    [json.job_id, count],
  );
  const buffersOf = async (status: string, after: number) => {
    const { rows } = await world.api.pool.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
      `explain (analyze, buffers, format json) select seq from tandem.bulk_ledger l
       where job_id = $1 and seq > $2${status} order by l.seq limit 101`,
      [json.job_id, after],
    );
    const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
    return (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
  };
  await world.api.pool.query('vacuum analyze tandem.bulk_ledger');
  for (const status of ['', ` and status = 'failed'`]) {
    expect(await buffersOf(status, count - 20_000)).toBeLessThanOrEqual((await buffersOf(status, 0)) + 10);
  }
});

test('a file whose scratch disk is full is broken off, told to the operator, and had again once there is room', async ({
  skip,
}) => {
  using disk = mountSmallDisk(50_000);
  if (disk === undefined) return skip();
  vi.stubEnv('TMPDIR', disk.path);
  onTestFinished(() => void vi.unstubAllEnvs());
  await writeFile(join(disk.path, 'filler'), Buffer.alloc(45_000));
  const broken = await download('format=parquet')
    .then((response) => response.arrayBuffer())
    .catch(() => 'broken');
  expect(broken).toBe('broken');
  await waitFor('it is told', () => lines.some(({ event }) => event === 'response.broken_off'));
  expect(await readdir(disk.path)).toEqual(['filler']);
  vi.unstubAllEnvs();
  await waitFor('there is a place', async () => {
    const response = await download('format=parquet');
    await response.arrayBuffer();
    return response.status === 200;
  });
});

test('pages of one code pass over the others, some thousands at a time', async () => {
  const page = async (query: string) =>
    (await world.api.call('GET', `/bulk/operations/${job.id}/results?${query}`, { key: job.key })).json;
  expect(await page('status=failed&code=not_found')).toMatchObject({
    data: [{ item_id: '999999999', code: 'not_found' }],
    has_more: false,
  });
  for (const query of [
    'code=not_found',
    'code=not_found&status=succeeded',
    'code=x&status=failed&format=csv',
  ]) {
    const { status } = await world.api.call('GET', `/bulk/operations/${job.id}/results?${query}`, {
      key: job.key,
    });
    expect(status, query).toBe(422);
  }
  // Results as of a long job: the rare code stands behind more of the other than a page examines.
  await world.api.pool.query(
    `insert into tandem.bulk_ledger (job_id, seq, item_id, status, code)
     select $1, n + 1000000, n::text, 'failed', case when n in (1, 25000) then 'rare' else 'common' end from generate_series(1, 25000) n`,
    [job.id],
  );
  await world.api.pool.query(
    '/* arranged */ update bulk_jobs set total = 1025001, estimated = 1025001 where id = $1',
    [job.id],
  );
  const first = await page('status=failed&code=rare');
  expect(first).toMatchObject({ data: [{ item_id: '1' }], has_more: true });
  const cursor = encodeURIComponent(first.next_cursor);
  expect(await page(`status=failed&code=rare&cursor=${cursor}`)).toMatchObject({
    data: [{ item_id: '25000' }],
    has_more: false,
  });
  expect((await page(`status=failed&code=common&cursor=${cursor}`)).code).toBe('malformed');
});
