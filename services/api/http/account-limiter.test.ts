import { expect, test } from 'vitest';
import { createFairShare } from './account-limiter.ts';

test('an account has a rate, its neighbours and the operator are not touched by it', async () => {
  const share = createFairShare({ requestsPerSecond: 3, maxOpen: 100, maxRunning: 100, maxDownloads: 2 });
  for (let count = 0; count < 3; count += 1) (await share.enter('a'))();
  await expect(share.enter('a')).rejects.toMatchObject({ code: 'too_many', retryAfterSeconds: 1 });
  await share.enter('b');
  for (let count = 0; count < 10; count += 1) await share.enter(undefined);
});

test('a key over its rate is not looked up', async () => {
  let lookups = 0;
  const keys = createFairShare({ requestsPerSecond: 2, maxOpen: 1, maxRunning: 1, maxDownloads: 2 }).limit({
    async findKey() {
      lookups += 1;
      return undefined;
    },
  });
  const hash = Buffer.from('k');
  await keys.findKey(hash);
  await keys.findKey(hash);
  await expect(keys.findKey(hash)).rejects.toMatchObject({ code: 'too_many' });
  expect(lookups).toBe(2);
});

test('of the requests of an account some run, some wait, and the rest is refused', async () => {
  const share = createFairShare({ requestsPerSecond: 1_000, maxOpen: 3, maxRunning: 1, maxDownloads: 2 });
  const leaves = [await share.enter('a'), await share.enter('a'), await share.enter('a')];
  await expect(share.enter('a')).rejects.toMatchObject({ code: 'too_many' });
  const end = await share.run('a');
  let hasTurn = false;
  const second = share.run('a').then((leave) => {
    hasTurn = true;
    return leave;
  });
  (await share.run('b'))();
  expect(hasTurn).toBe(false);
  end();
  (await second)();
  leaves[0]?.();
  await share.enter('a');
});

test('an account sends so much in bodies, whatever their number, and its neighbours theirs', async () => {
  const share = createFairShare({ requestsPerSecond: 1_000, maxOpen: 1, maxRunning: 1, maxDownloads: 1 });
  const large = 4 * 1_024 * 1_024;
  await share.read('a', large);
  await share.read('a', large);
  await expect(share.read('a', 1)).rejects.toMatchObject({ code: 'too_many' });
  await share.read('b', 1);
  await share.charge('b', 2 * large);
  await expect(share.read('b', 1)).rejects.toMatchObject({ code: 'too_many' });
  await share.read('c', large);
  await share.read(undefined, 100 * large);
});

test('an account has so many files at once, and its neighbours theirs', () => {
  const share = createFairShare({ requestsPerSecond: 1_000, maxOpen: 1, maxRunning: 1, maxDownloads: 2 });
  const leave = share.download('a');
  share.download('a');
  expect(() => share.download('a')).toThrow('more than 2 files at once');
  share.download('b');
  leave();
  leave();
  share.download('a');
  expect(() => share.download('a')).toThrow('more than 2 files at once');
});
