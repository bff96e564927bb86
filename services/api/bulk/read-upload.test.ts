import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { readUpload } from './read-upload.ts';

const ANY_PACE = { uploadLeastBytesPerSecond: 0, uploadGraceMs: 0 };

const HOUR_MS = 3_600_000;

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk.toString();
  return text;
}

test('a body is read to its end', async () => {
  const body = Readable.from([Buffer.from('a'), Buffer.from('b')]);
  expect(await textOf(readUpload(body, { uploadIdleMs: HOUR_MS, uploadTotalMs: HOUR_MS, ...ANY_PACE }))).toBe(
    'ab',
  );
});

test('a body that stops is given up, and its request can still get a response', async () => {
  const body = new Readable({ read: () => undefined });
  body.push('a');
  const reading = textOf(readUpload(body, { uploadIdleMs: 10, uploadTotalMs: HOUR_MS, ...ANY_PACE }));
  await expect(reading).rejects.toMatchObject({ code: 'timed_out' });
  expect(body.destroyed).toBe(false);
});

test('an endless body is given up at its time limit', async () => {
  async function* endless() {
    for (;;) {
      await setImmediate();
      yield Buffer.from('a');
    }
  }
  const reading = textOf(
    readUpload(Readable.from(endless()), { uploadIdleMs: HOUR_MS, uploadTotalMs: 10, ...ANY_PACE }),
  );
  await expect(reading).rejects.toMatchObject({ code: 'timed_out' });
});

test('an upload that drips is ended once its grace is over', async () => {
  const drip = Readable.from(
    (async function* () {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield Buffer.from('x');
      }
    })(),
  );
  const limits = {
    uploadIdleMs: 1_000,
    uploadTotalMs: 60_000,
    uploadLeastBytesPerSecond: 100_000,
    uploadGraceMs: 20,
  };
  const reading = (async () => {
    for await (const _ of readUpload(drip, limits));
  })();
  await expect(reading).rejects.toMatchObject({ code: 'timed_out' });
});
