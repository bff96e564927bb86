import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openStorage } from '../../../shared/storage/open-storage.ts';
import { type Fate, openS3Proxy, type S3Proxy } from '../../support/s3-proxy.ts';
import { BUILD_LIMIT_MS, hasVersitygw, startVersitygw, type Versitygw } from '../../support/versitygw.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  chunkRows,
  createWriterFixture,
  expectedContent,
  type WriterFixture,
} from '../../support/writer-fixture.ts';

/** More lines than one part of an upload holds, so that an upload is open when storage begins to refuse. */
const LARGE_ROWS = 150_000;
const SMALL_ROWS = 500;

/** Fewer than the lines of `LARGE_ROWS` take, and more than those of half of them. */
const DISK_BYTES = 7_000_000;

let fixture: WriterFixture;

afterEach(() => fixture?.[Symbol.asyncDispose]());

async function startExport(rows: number): Promise<string> {
  const id = await fixture.addExport({ orders: [rows] });
  await fixture.produce(chunkRows(id, 0, rows));
  await fixture.finishReading(id);
  return id;
}

async function expectCompleted(id: string, rows: number): Promise<void> {
  const { status, error, files } = await fixture.ended(id);
  expect({ status, error }).toEqual({ status: 'completed', error: null });
  const [file] = files ?? [];
  if (file === undefined) throw new Error('no file');
  expect((await fixture.fileContent(file)).toString() === expectedContent([rows])).toBe(true);
}

describe.skipIf(!hasVersitygw())('S3', () => {
  let gateway: Versitygw;
  let proxy: S3Proxy;
  let bucket: string;

  beforeEach(async () => {
    gateway = await startVersitygw();
    bucket = await gateway.createBucket();
    for (const [name, value] of Object.entries(gateway.credentials)) vi.stubEnv(name, value);
    proxy = await openS3Proxy(gateway.endpoint);
    const url = `s3://${bucket}/here?endpoint=${proxy.endpoint}`;
    fixture = await createWriterFixture(
      { STORAGE_URL: url, ...gateway.credentials },
      await openStorage(`s3://${bucket}/here?endpoint=${gateway.endpoint}`),
    );
  }, BUILD_LIMIT_MS);

  afterEach(async () => {
    vi.unstubAllEnvs();
    await proxy?.[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
  });

  async function kept(folder: string): Promise<(string | undefined)[]> {
    const { Contents = [] } = await gateway.client.send(new ListObjectsV2Command({ Bucket: bucket }));
    const { Uploads = [] } = await gateway.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    return [...Contents, ...Uploads].map(({ Key }) => Key).filter((key) => key?.startsWith(folder));
  }

  const inPart = (method: string, url: string) => url.includes('partNumber=') || method === 'DELETE';
  const inFile = (method: string, url: string) => method === 'PUT' && url.includes('/exports/');

  test.each([
    ['refuses a part in the middle', LARGE_ROWS, 'AccessDenied', inPart],
    ['refuses the file', SMALL_ROWS, 'AccessDenied', inFile],
    ['is full in the middle of a part', LARGE_ROWS, 'XMinioStorageFull', inPart],
    ['is full at the file', SMALL_ROWS, 'XMinioStorageFull', inFile],
  ] as const)(
    'that %s fails the export, whose leavings go once it takes it',
    async (_, rows, fate, isHit) => {
      await fixture.startWriter();
      proxy.fateOf = (method, url): Fate => (isHit(method, url) ? fate : 'pass');
      const { status, error, files } = await fixture.ended(await startExport(rows));
      expect({ status, files }).toEqual({ status: 'failed', files: null });
      expect(error).toMatchObject(
        fate === 'AccessDenied'
          ? { code: 'storage_refused', message: expect.stringContaining('STORAGE_URL') }
          : { code: 'storage_full', message: expect.stringMatching(/make room/i) },
      );
      proxy.fateOf = () => 'pass';
      await waitFor('what was written to be removed', async () => (await kept('here/')).length === 0);
      await expectCompleted(await startExport(SMALL_ROWS), SMALL_ROWS);
    },
  );

  test('whose bucket was deleted fails the export, and the writer goes on once there is one again', async () => {
    await fixture.startWriter();
    proxy.fateOf = () => 'NoSuchBucket';
    const { status, error } = await fixture.ended(await startExport(SMALL_ROWS));
    expect({ status, error }).toMatchObject({ status: 'failed', error: { code: 'storage_refused' } });
    proxy.fateOf = () => 'pass';
    await expectCompleted(await startExport(SMALL_ROWS), SMALL_ROWS);
  });

  test('that answers errors for a while, and to writers that start again meanwhile, delays the export only', async () => {
    let isDown = false;
    proxy.fateOf = () => (isDown ? 'InternalError' : 'pass');
    const first = fixture.spawnWriter();
    await expectCompleted(await startExport(SMALL_ROWS), SMALL_ROWS);
    isDown = true;
    const id = await startExport(SMALL_ROWS);
    await waitFor('the writer to end', () => first.exitCode !== null);
    const second = fixture.spawnWriter();
    await waitFor('the next writer to end', () => second.exitCode !== null);
    // Not with 2, for which the other services would be stopped.
    expect([first.exitCode, second.exitCode]).toEqual([1, 1]);
    isDown = false;
    fixture.spawnWriter();
    await expectCompleted(id, SMALL_ROWS);
    await waitFor('the parts to be removed', async () => (await kept('here/parts/')).length === 0);
  });
});

test('a disk that fills up fails the exports that do not fit, with nothing of them left, and those that do go on', async () => {
  fixture = await createWriterFixture();
  const { storageRoot, storage } = fixture;
  mkdirSync(storageRoot, { recursive: true });
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', storageRoot]).status !== 0) {
    console.warn('skipped: a file system of its own can be mounted by root only');
    return;
  }
  try {
    await fixture.startWriter();
    // The rows do not fit; or they do, and the file beside them does not.
    for (const rows of [LARGE_ROWS, LARGE_ROWS / 2]) {
      const id = await startExport(rows);
      const { status, error, files } = await fixture.ended(id);
      expect({ status, files }).toEqual({ status: 'failed', files: null });
      expect(error).toMatchObject({ code: 'storage_full', message: expect.stringMatching(/make room/i) });
      await waitFor(
        'its leavings to be removed',
        async () => (await storage.listNames('parts')).length === 0,
      );
      expect(await storage.listNames('exports')).toEqual([]);
      await expectCompleted(await startExport(SMALL_ROWS), SMALL_ROWS);
      await storage.deleteFolder('exports');
    }
  } finally {
    spawnSync('umount', ['-l', storageRoot]);
  }
});

test('a directory that becomes read-only fails the export, whose leavings go once it can be written again', async () => {
  fixture = await createWriterFixture();
  const { storageRoot, storage } = fixture;
  mkdirSync(storageRoot, { recursive: true });
  const mount = (...options: string[]) => spawnSync('mount', [...options, storageRoot]).status === 0;
  if (!mount('-t', 'tmpfs', 'tmpfs')) {
    console.warn('skipped: a file system of its own can be mounted by root only');
    return;
  }
  try {
    await fixture.startWriter();
    await expectCompleted(await startExport(SMALL_ROWS), SMALL_ROWS);
    // One part is there, and can't be removed for a while.
    const id = await fixture.addExport({ orders: [SMALL_ROWS, SMALL_ROWS] });
    await fixture.produce(chunkRows(id, 0, SMALL_ROWS));
    await waitFor('the part', async () => (await fixture.partPaths(id)).length === 1);
    await waitFor('nothing to be open', () => mount('-o', 'remount,ro'));
    await fixture.produce(chunkRows(id, 1, SMALL_ROWS));
    await fixture.finishReading(id);
    const { status, error } = await fixture.ended(id);
    expect({ status, error }).toMatchObject({ status: 'failed', error: { code: 'storage_refused' } });
    expect(await storage.listNames('parts')).toEqual([id]);
    expect(mount('-o', 'remount,rw')).toBe(true);
    await waitFor('the part to be removed', async () => (await storage.listNames('parts')).length === 0);
  } finally {
    spawnSync('umount', ['-l', storageRoot]);
  }
});
