import { type ChildProcess, spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BulkWorld, openBulkWorld } from '../support/bulk-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** As objects in memory these take more than the heap that the worker gets; as pages they are a few megabytes. */
const LINES = 500_000;
const HEAP_MB = 64;

let world: BulkWorld;
let worker: ChildProcess;
beforeAll(async () => {
  world = await openBulkWorld();
  worker = spawn(process.execPath, [`--max-old-space-size=${HEAP_MB}`, 'services/bulk/main.ts'], {
    env: { ...process.env, ...world.env, BULK_CHUNK_ITEMS: '1000', LOG_LEVEL: 'error' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
});
afterAll(async () => {
  worker.kill('SIGKILL');
  await world[Symbol.asyncDispose]();
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
  const file = (await upload.json()) as { file_id: string; items: number };
  expect(file.items).toBe(LINES);
  const { json } = await world.submit(key, {
    resource: 'invoices',
    operation: 'void',
    async: true,
    file_id: file.file_id,
  });
  const begun = await waitFor('the items are listed, and the first are worked on', async () => {
    expect(worker.exitCode).toBeNull();
    const status = await world.status(key, json.job_id);
    return status.processed > 0 ? status : undefined;
  });
  expect(begun).toMatchObject({ status: 'running', total: LINES });
  const cancel = await world.api.call('POST', `/bulk/operations/${json.job_id}/cancel`, { key });
  expect(cancel.json).toMatchObject({ status: 'cancelled', total: LINES, succeeded: 0 });
  expect(cancel.json.error_summary).toEqual([{ code: 'not_found', count: cancel.json.failed }]);
});
