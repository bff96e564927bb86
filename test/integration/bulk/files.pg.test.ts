import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFileStorage } from '../../../shared/storage/file-storage.ts';
import { type BulkWorld, openBulkWorld } from '../../support/bulk-world.ts';
import type { ServiceProcess } from '../../support/services.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';
import { waitFor } from '../../support/wait-for.ts';

/** As objects in memory these take more than the heap that the worker gets; as pages they are a few megabytes. */
const LINES = 500_000;
const HEAP_MB = 64;

let world: BulkWorld;
let worker: ServiceProcess;
beforeAll(async () => {
  world = await openBulkWorld();
  worker = world.spawnWorker({ BULK_CHUNK_ITEMS: '1000' }, [`--max-old-space-size=${HEAP_MB}`]);
});
afterAll(() => world?.[Symbol.asyncDispose]());

test('a form with parts is no file of IDs', async () => {
  const { key } = await world.account(1);
  const body = '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--x--\r\n';
  const headers = { 'content-type': 'multipart/form-data; boundary=x' };
  expect(await world.api.call('POST', '/bulk/files', { key, body, headers })).toMatchObject({
    status: 415,
    json: { detail: expect.stringContaining('--data-binary') },
  });
});

test('CSV of one column is taken, and its upload says what is a header, and which lines are no IDs', async () => {
  const { key, ids } = await world.account(2);
  const body = `"Id"\r"${ids[0]}"\r\r"x ""y"""\r${ids[1]}\r"1","2"\r`;
  const headers = { 'content-type': 'text/csv' };
  const upload = await world.api.call('POST', '/bulk/files?resource=invoices', { key, body, headers });
  expect(upload).toMatchObject({
    status: 201,
    json: {
      items: 4,
      ids: 2,
      header: 'Id',
      bad_lines: [
        { line: 4, code: 'invalid_id', detail: 'is not of type bigint' },
        { line: 6, code: 'columns', detail: expect.stringContaining('more than one column') },
      ],
    },
  });
  const job = { resource: 'invoices', operation: 'void', async: true, file_id: upload.json.file_id };
  const { json } = await world.submit(key, job);
  expect(await world.until(key, json.job_id)).toMatchObject({ status: 'completed', succeeded: 2, failed: 2 });
  const failed = await world.results(key, json.job_id, '&status=failed');
  expect(failed).toMatchObject([
    { line: 4, item_id: 'x "y"', code: 'invalid_id' },
    { line: 6, item_id: '"1","2"', code: 'invalid_id', message: expect.stringContaining('column') },
  ]);
  const none = await world.api.call('POST', '/bulk/files?resource=invoices', { key, body: 'a\nb', headers });
  expect(none).toMatchObject({
    status: 422,
    json: { errors: [{}, { detail: 'line 1: is not of type bigint' }, {}] },
  });
});

test('a file in another encoding, or of another kind, is refused with the reason, and nothing of it is kept', async () => {
  const { key } = await world.account(1);
  const post = async (body: Buffer, headers: Record<string, string> = {}) => {
    const response = await fetch(`${world.api.url}/bulk/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'text/plain', ...headers },
      body: new Uint8Array(body),
    });
    return { status: response.status, json: (await response.json()) as { detail: string } };
  };
  const kept = () => readdir(join(fileURLToPath(world.api.storageUrl), 'bulk-files'), { recursive: true });
  const before = await kept();
  const large = Buffer.from('7\n'.repeat(200_000));
  const refused: [Buffer, string][] = [
    [
      Buffer.concat([large, Buffer.from('M\xfcller\n', 'latin1')]),
      'line 200001, byte 400001 of the file is 0xFC',
    ],
    [Buffer.concat([large, Buffer.from('7\0\n')]), 'NUL character: line 200001'],
    [Buffer.from('\uFEFF7\n8\n', 'utf16le'), 'UTF-16'],
    [Buffer.from('PK\x03\x04\x14\0\x06\0'), 'Excel'],
    [Buffer.from('id,name\n7,x\n'), 'send only id'],
  ];
  for (const [body, reason] of refused) {
    expect(await post(body)).toMatchObject({
      status: 422,
      json: { detail: expect.stringContaining(reason) },
    });
  }
  const charset = await post(Buffer.from('7\n'), { 'content-type': 'text/plain; charset=windows-1252' });
  expect(charset.status).toBe(415);
  expect(await kept()).toEqual(before);
});

test('half a million IDs of a file become items through a heap that could not hold them', async () => {
  const { key } = await world.account(1);
  function* lines() {
    for (let line = 0; line < LINES; line += 10_000) {
      yield Array.from({ length: 10_000 }, (_, index) => `${100_000_000 + line + index}\n`).join('');
    }
  }
  const upload = await fetch(`${world.api.url}/bulk/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'text/plain' },
    body: ReadableStream.from(lines()).pipeThrough(new TextEncoderStream()),
    duplex: 'half',
  } as RequestInit);
  const file = (await upload.json()) as { file_id: string; items: number; ids: number };
  expect(file).toMatchObject({ items: LINES, ids: LINES, bad_lines: [] });
  const { json } = await world.submit(key, {
    resource: 'invoices',
    operation: 'void',
    async: true,
    file_id: file.file_id,
  });
  const isBegun = async () => {
    expect(worker.child.exitCode).toBeNull();
    const status = await world.status(key, json.job_id);
    return status.processed > 0 ? status : undefined;
  };
  // A busy machine takes its time for half a million rows.
  const begun = await waitFor('the items are listed, and the first are worked on', isBegun);
  expect(begun).toMatchObject({ status: 'running', total: LINES });
  const cancel = await world.api.call('POST', `/bulk/operations/${json.job_id}/cancel`, { key });
  expect(cancel.json).toMatchObject({ status: 'cancelled', total: LINES, succeeded: 0 });
  expect(cancel.json.error_summary).toEqual([{ code: 'not_found', count: cancel.json.failed }]);
});

test('an upload that finds the disk full is told to come again, nothing of it is kept, and the next one that fits is taken', async ({
  skip,
}) => {
  using disk = mountSmallDisk(1_000_000);
  if (disk === undefined) return skip();
  const storage = createFileStorage(disk.path);
  await using small = await openBulkWorld({ storage });
  const { key } = await small.account(1);
  const upload = (lines: number) =>
    small.api.call('POST', '/bulk/files', {
      key,
      body: '1234567\n'.repeat(lines),
      headers: { 'content-type': 'text/plain' },
    });
  const refused = await upload(200_000);
  expect(refused).toMatchObject({ status: 503, json: { code: 'unavailable' } });
  expect(refused.headers.get('retry-after')).toBe('60');
  expect(refused.text).not.toMatch(/ENOSPC|full/);
  expect(await readdir(join(disk.path, 'bulk-files'))).toEqual([]);
  expect((await upload(1_000)).status).toBe(201);
});
