import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { describeStorage } from '../../test/contract/describe-storage.ts';
import { SetupError } from '../runtime/errors.ts';
import { createFileStorage } from './file-storage.ts';
import { openStorage } from './open-storage.ts';

const temporaryDirectory = () => mkdtemp(join(tmpdir(), 'tandem-storage-'));

describeStorage('file storage', async () => {
  const root = await temporaryDirectory();
  return { storage: createFileStorage(root), close: () => rm(root, { recursive: true }) };
});

test('deleting a folder takes the temporary files of a killed writer along', async () => {
  const root = await temporaryDirectory();
  const storage = createFileStorage(root);
  const writer = await storage.openWriter('a/b/file');
  await writer.append('half');
  expect(await readdir(join(root, 'a/b'))).toHaveLength(1);
  expect(await storage.listNames('a')).toEqual(['b']);
  await storage.deleteFolder('a');
  expect(await readdir(root)).toEqual([]);
  await writer.abort();
  await rm(root, { recursive: true });
});

test('files and folders are closed to other users of the machine', async () => {
  const root = await temporaryDirectory();
  const storage = await openStorage(pathToFileURL(join(root, 'new')).href);
  await (await storage.openWriter('a/file')).commit();
  for (const path of ['new', 'new/a', 'new/a/file']) {
    expect((await stat(join(root, path))).mode & 0o007).toBe(0);
  }
  await rm(root, { recursive: true });
});

test('opening a file URL makes its directory', async () => {
  const root = await temporaryDirectory();
  const storage = await openStorage(pathToFileURL(join(root, 'new folder')).href);
  await (await storage.openWriter('file')).commit();
  expect(await readdir(join(root, 'new folder'))).toEqual(['file']);
  await rm(root, { recursive: true });
});

test.each(['s3://no_bucket', 'file://host/path', 'somewhere', ''])(
  'the URL %j is a set-up error',
  async (url) => {
    await expect(openStorage(url)).rejects.toThrow(SetupError);
  },
);

test('a directory that cannot be used is a set-up error', async () => {
  const root = await temporaryDirectory();
  await (await createFileStorage(root).openWriter('file')).commit();
  await expect(openStorage(pathToFileURL(join(root, 'file', 'below')).href)).rejects.toThrow(SetupError);
  await rm(root, { recursive: true });
});
