import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { beginBulkFile } from '../../../services/api/bulk/file-store.ts';
import { sweepRound } from '../../../services/bulk/retention-sweeper.ts';
import { newId } from '../../../shared/domain/ids.ts';
import { bulkFileFolder, bulkFilePath } from '../../../shared/protocol/storage-paths.ts';
import { createLog, silentLog } from '../../../shared/runtime/log.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const sweep = (log = silentLog, storage = world.api.storage) => {
  const { pool: control } = world.api;
  const deps = { control, source: control, storage, log, retentionDays: 30, now: Date.now };
  return sweepRound(deps, new AbortController().signal);
};

test('what an upload left that its process did not survive is removed, with what was written so far', async () => {
  const { id: accountId } = await world.account(1);
  const { pool, storage } = world.api;
  const id = newId('file');
  const path = bulkFilePath(id);
  await beginBulkFile(pool, { id, accountId, path });
  // Killed amid the upload: the writer is neither committed nor aborted.
  const writer = await storage.openWriter(path);
  await writer.append('1\n2\n');
  const folder = join(fileURLToPath(world.api.storageUrl), bulkFileFolder(id));
  expect(await readdir(folder)).toHaveLength(1);
  await sweep();
  expect(await readdir(folder)).toHaveLength(1);
  await pool.query('update bulk_files set expires_at = now() where id = $1', [id]);
  await sweep();
  await expect(readdir(folder)).rejects.toThrow('ENOENT');
  expect((await pool.query('select from bulk_files where id = $1', [id])).rowCount).toBe(0);
});

test('a job is kept with its results for its retention, and then removed with them', async () => {
  const { key, ids } = await world.account(3);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  const body = { resource: 'invoices', operation: 'void', ids, async: true };
  const { json } = await world.submit(key, body);
  await world.until(key, json.job_id);
  await sweep();
  expect(await world.results(key, json.job_id)).toHaveLength(3);
  await world.api.pool.query(`update bulk_jobs set ended_at = now() - interval '31 days' where id = $1`, [
    json.job_id,
  ]);
  await sweep();
  expect((await world.api.call('GET', `/bulk/operations/${json.job_id}`, { key })).status).toBe(404);
  const { rows } = await world.api.pool.query('select from tandem.bulk_ledger where job_id = $1', [
    json.job_id,
  ]);
  expect(rows).toEqual([]);
});

test('a file of IDs is removed once it has expired, but not before the job that needs it has listed them', async () => {
  const { key, ids } = await world.account(2);
  const upload = await fetch(`${world.api.url}/bulk/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: ids.join('\n'),
  });
  const { file_id: fileId } = (await upload.json()) as { file_id: string };
  const path = bulkFilePath(fileId);
  const { json } = await world.submit(key, {
    resource: 'invoices',
    operation: 'void',
    file_id: fileId,
    async: true,
  });
  await world.api.pool.query(`update bulk_files set expires_at = now() - interval '1 day' where id = $1`, [
    fileId,
  ]);
  await sweep();
  expect(await world.api.storage.stat(path)).toBeDefined();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 2 });
  await sweep();
  expect(await world.api.storage.stat(path)).toBeUndefined();
});

test('a job or a file that can not be removed is told, and in the way of no other', async () => {
  const jobIds: string[] = [];
  const fileIds: string[] = [];
  const { key, ids } = await world.account(1);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(await world.startWorker());
  for (let count = 0; count < 3; count += 1) {
    const { json } = await world.submit(key, { resource: 'invoices', operation: 'void', ids, async: true });
    await world.api.call('POST', `/bulk/operations/${json.job_id}/cancel`, { key });
    jobIds.push(json.job_id);
    const headers = { 'content-type': 'text/plain' };
    const upload = await world.api.call('POST', '/bulk/files', { key, body: '1', headers });
    fileIds.push(upload.json.file_id);
  }
  const { pool } = world.api;
  for (const id of jobIds) expect(await world.status(key, id)).toMatchObject({ status: 'cancelled' });
  await pool.query(`update bulk_jobs set ended_at = now() - interval '31 days' where id = any ($1)`, [
    jobIds,
  ]);
  await pool.query(`update bulk_files set expires_at = now() - interval '1 day' where id = any ($1)`, [
    fileIds,
  ]);
  for (const [table, [stuck]] of [
    ['bulk_jobs', jobIds],
    ['bulk_files', fileIds],
  ] as const) {
    await pool.query(`
      create function keep_${table}() returns trigger language plpgsql as $$ begin raise 'kept'; end $$;
      create trigger keep before delete on ${table} for each row when (old.id = '${stuck}') execute function keep_${table}()`);
  }
  const lines: { event: string }[] = [];
  await sweep(createLog('info', {}, (line) => lines.push(JSON.parse(line))));
  const left = async (table: string) =>
    (
      await pool.query<{ id: string }>(`select id from ${table} where id = any ($1)`, [
        [...jobIds, ...fileIds],
      ])
    ).rows;
  expect(await left('bulk_jobs')).toEqual([{ id: jobIds[0] }]);
  expect(await left('bulk_files')).toEqual([{ id: fileIds[0] }]);
  expect(lines).toContainEqual(expect.objectContaining({ event: 'bulk.job_not_swept', jobId: jobIds[0] }));
  expect(lines).toContainEqual(expect.objectContaining({ event: 'bulk.file_not_swept', fileId: fileIds[0] }));
  await pool.query('drop trigger keep on bulk_jobs; drop trigger keep on bulk_files');
});

test('while storage is away a round gives up after a few files, however many have expired', async () => {
  const { id: accountId } = await world.account(1);
  const { pool, storage } = world.api;
  for (let count = 0; count < 25; count += 1) {
    const id = newId('file');
    await beginBulkFile(pool, { id, accountId, path: bulkFilePath(id) });
  }
  await pool.query('update bulk_files set expires_at = now() where account_id = $1', [accountId]);
  const count = async () =>
    (await pool.query('select from bulk_files where account_id = $1', [accountId])).rowCount;
  const lines: { event: string }[] = [];
  const log = createLog('warn', {}, (line) => lines.push(JSON.parse(line)));
  await sweep(log, { ...storage, deleteFolder: () => Promise.reject(new Error('storage is away')) });
  expect(lines.map(({ event }) => event)).toEqual(Array(3).fill('bulk.file_not_swept'));
  expect(await count()).toBe(25);
  await sweep();
  expect(await count()).toBe(0);
});

test('rows that a lost answer has left are removed after a day', async () => {
  await world.api.pool.query(
    `insert into tandem.bulk_ledger (job_id, seq, item_id, status, at) values
       ('sync_old', 0, '1', 'succeeded', now() - interval '2 days'), ('sync_new', 0, '1', 'succeeded', now()),
       ('blk_other', 0, '1', 'succeeded', now() - interval '2 days')`,
  );
  await sweep();
  const { rows } = await world.api.pool.query<{ job_id: string }>(
    `select job_id from tandem.bulk_ledger where seq = 0 and item_id = '1' order by 1`,
  );
  expect(rows.map(({ job_id: id }) => id)).toEqual(expect.arrayContaining(['blk_other', 'sync_new']));
  expect(rows.map(({ job_id: id }) => id)).not.toContain('sync_old');
});

test('what was used of a quota is forgotten a day after its period', async () => {
  const { id } = await world.account(0);
  await world.api.pool.query(
    `insert into bulk_quota_use (account_id, span, used)
     select $1, tstzrange(now() - make_interval(hours => h + 1), now() - make_interval(hours => h)), h + 1
     from unnest(array[-1, 23, 25]) h`,
    [id],
  );
  await sweep();
  const { rows } = await world.api.pool.query<{ used: string }>(
    'select used from bulk_quota_use where account_id = $1 order by used',
    [id],
  );
  expect(rows.map(({ used }) => used)).toEqual(['0', '24']);
});

test('without its ledger the service does not start, and prints the SQL that makes it', async () => {
  await using other = await openBulkWorld();
  await other.api.pool.query('drop table tandem.bulk_ledger');
  await expect(other.startWorker()).rejects.toThrow(/CREATE TABLE IF NOT EXISTS tandem\.bulk_ledger/);
});
