import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** Many exports on a machine that has room for their files, and beside these for two exports that are being made. */

const EXPORT_COUNT = 10;

/** Of the file of one export, at most; its parts take less. */
const FILE_BYTES = 2_200_000;
const DISK_BYTES = (EXPORT_COUNT + 4) * FILE_BYTES;

const LIMIT_MS = 900_000;

const cleanup = new AsyncDisposableStack();
const disk = mountSmallDisk(DISK_BYTES);
let world: World;
let customer: Customer;

beforeAll(async () => {
  if (disk === undefined) return;
  cleanup.use(disk);
  world = cleanup.use(
    await openTestWorld({
      rows: 5_000,
      accounts: 1,
      services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1 },
      env: {
        STORAGE_URL: pathToFileURL(join(disk.path, 'storage')).href,
        WRITER_SCRATCH_DIR: join(disk.path, 'scratch'),
        EXTRACTOR_CHUNK_BYTES: '1',
      },
    }),
  );
  customer = await world.createCustomer(world.generated.accounts[0] ?? '');
  await world.operator.call('PATCH', `/admin/accounts/${customer.id}`, {
    limits: { max_running_exports: 1 },
  });
});

afterAll(() => cleanup.disposeAsync());

async function usedBytes(path: string): Promise<number> {
  const { blocks, bfree, bsize } = await statfs(path);
  return (blocks - bfree) * bsize;
}

test('ten exports that wait are made one after the other, and need room for one beside their files', async ({
  skip,
}) => {
  if (disk === undefined) return skip();
  const created: string[] = [];
  for (let at = 0; at < EXPORT_COUNT; at += 1) {
    const body = { resource: 'invoices', snapshot: at % 2 === 0 ? 'chunked' : 'single' };
    created.push((await customer.client.call<ExportView>('POST', '/exports', body)).id);
  }
  let mostBytes = 0;
  const views = await waitFor(
    'all exports to end',
    async () => {
      mostBytes = Math.max(mostBytes, await usedBytes(disk.path));
      const { data } = await customer.client.call<{ data: (ExportView & { completed_at: string })[] }>(
        'GET',
        `/exports?limit=${EXPORT_COUNT}`,
      );
      expect(data.filter(({ status }) => status === 'running').length).toBeLessThanOrEqual(1);
      const failed = data.find(({ status }) => status === 'failed');
      if (failed !== undefined) throw new Error(JSON.stringify(failed.error));
      return data.every(({ status }) => status === 'completed') ? data : undefined;
    },
    LIMIT_MS,
  );
  const inOrder = views.toSorted((a, b) => a.completed_at.localeCompare(b.completed_at));
  expect(inOrder.map(({ id }) => id)).toEqual(created);
  const fileBytes = views.flatMap(({ files }) => files ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  const ofOne = fileBytes / EXPORT_COUNT;
  expect(ofOne).toBeGreaterThan(FILE_BYTES / 2);
  expect(mostBytes).toBeLessThan(fileBytes + 4 * ofOne);
  await waitFor('what is no file of an export to be gone', async () => {
    const left = (await usedBytes(disk.path)) - fileBytes;
    return left < ofOne / 2;
  });
}, 1_200_000);
