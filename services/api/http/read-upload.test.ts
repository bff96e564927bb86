import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { readUpload } from './read-upload.ts';

const HOUR_MS = 3_600_000;

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk.toString();
  return text;
}

test('a body is read to its end', async () => {
  const body = Readable.from([Buffer.from('a'), Buffer.from('b')]);
  expect(await textOf(readUpload(body, { uploadIdleMs: HOUR_MS, uploadTotalMs: HOUR_MS }))).toBe('ab');
});

test('one that stands still is given up, and stays whole for its answer', async () => {
  const body = new Readable({ read: () => undefined });
  body.push('a');
  const reading = textOf(readUpload(body, { uploadIdleMs: 10, uploadTotalMs: HOUR_MS }));
  await expect(reading).rejects.toMatchObject({ code: 'timed_out' });
  expect(body.destroyed).toBe(false);
});

test('one that goes on and on is given up when its time is over', async () => {
  async function* endless() {
    for (;;) {
      await setImmediate();
      yield Buffer.from('a');
    }
  }
  const reading = textOf(readUpload(Readable.from(endless()), { uploadIdleMs: HOUR_MS, uploadTotalMs: 10 }));
  await expect(reading).rejects.toMatchObject({ code: 'timed_out' });
});
