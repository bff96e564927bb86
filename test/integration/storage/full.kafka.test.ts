import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../support/wait-for.ts';
import {
  chunkRows,
  createWriterFixture,
  expectedContent,
  type WriterFixture,
} from '../../support/writer-fixture.ts';

/** Storage on a file system of its own that has room for so much. A line of the fixture's rows has about 60 bytes. */
const ROOM = '256k';

let fixture: WriterFixture;
let isMounted = false;

beforeEach(async () => {
  fixture = await createWriterFixture();
  mkdirSync(fixture.storageRoot, { recursive: true });
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${ROOM}`, 'tmpfs', fixture.storageRoot]);
  isMounted = status === 0;
});

afterEach(async () => {
  // Lazily, because the writer that is still to stop may have a file open.
  if (isMounted) spawnSync('umount', ['-l', fixture.storageRoot]);
  await fixture?.[Symbol.asyncDispose]();
});

test.each([
  ['in the middle of a part', 6_000],
  ['while its file is put together', 3_000],
])(
  'an export that fills the disk %s fails with storage_full, leaves nothing, and the next one is right',
  async (_, rows) => {
    if (!isMounted) {
      console.warn('skipped: a small file system can be mounted by root only');
      return;
    }
    const { addExport, produce, finishReading, ended, fileContent, storage, startWriter } = fixture;
    await startWriter();
    const largeId = await addExport({ orders: [rows] });
    await produce(chunkRows(largeId, 0, rows));
    await finishReading(largeId);
    const { status, error, files } = await ended(largeId);
    expect({ status, files }).toEqual({ status: 'failed', files: null });
    expect(error).toMatchObject({ code: 'storage_full', message: expect.stringMatching(/[Mm]ake room/) });
    await waitFor(
      'what was written to be removed',
      async () =>
        (await storage.listNames('parts')).length === 0 && (await storage.listNames('exports')).length === 0,
    );

    const smallId = await addExport({ orders: [100] });
    await produce(chunkRows(smallId, 0, 100));
    await finishReading(smallId);
    const small = await ended(smallId);
    expect(small.status).toBe('completed');
    const [file] = small.files ?? [];
    if (file === undefined) throw new Error('no file');
    expect((await fileContent(file)).toString()).toBe(expectedContent([100]));
  },
);
