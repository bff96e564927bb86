import { expect, test } from 'vitest';
import { waitFor } from '../../../test/support/wait-for.ts';
import { type AccountRequestLimits, createAccountLimiter } from './account-limiter.ts';

/** With room for everything but what is given. */
const limiterOf = (limits: Partial<AccountRequestLimits>) =>
  createAccountLimiter({
    requestsPerSecond: 1_000,
    requestsPerMinute: 0,
    maxOpen: 9,
    maxRunning: 9,
    maxDownloads: 2,
    ...limits,
  });

test('an account has a rate of its own, which limits neither other accounts nor the operator', async () => {
  const limiter = limiterOf({ requestsPerSecond: 3, maxOpen: 100, maxRunning: 100 });
  for (let count = 0; count < 3; count += 1) (await limiter.admit('a'))();
  await expect(limiter.admit('a')).rejects.toMatchObject({ code: 'too_many', retryAfterSeconds: 1 });
  await limiter.admit('b');
  for (let count = 0; count < 10; count += 1) await limiter.admit(undefined);
});

test('a key over its rate is not looked up', async () => {
  let lookups = 0;
  const keys = limiterOf({ requestsPerSecond: 2, maxOpen: 1, maxRunning: 1 }).limitKeys({
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

test('some requests of an account run, some wait, and further ones are refused', async () => {
  const limiter = limiterOf({ maxOpen: 3, maxRunning: 1 });
  const releases = [await limiter.admit('a'), await limiter.admit('a'), await limiter.admit('a')];
  await expect(limiter.admit('a')).rejects.toMatchObject({ code: 'too_many' });
  const end = await limiter.run('a');
  let hasTurn = false;
  const second = limiter.run('a').then((release) => {
    hasTurn = true;
    return release;
  });
  (await limiter.run('b'))();
  expect(hasTurn).toBe(false);
  end();
  (await second)();
  releases[0]?.();
  await limiter.admit('a');
});

test('an account has a limit of body bytes, for any number of bodies, and other accounts have theirs', async () => {
  const limiter = limiterOf({ maxOpen: 1, maxRunning: 1, maxDownloads: 1 });
  const large = 4 * 1_024 * 1_024;
  await limiter.chargeBody('a', large);
  await limiter.chargeBody('a', large);
  await expect(limiter.chargeBody('a', 1)).rejects.toMatchObject({ code: 'too_many' });
  await limiter.chargeBody('b', 1);
  await limiter.chargeRead('b', 2 * large);
  await expect(limiter.chargeBody('b', 1)).rejects.toMatchObject({ code: 'too_many' });
  await limiter.chargeBody('c', large);
  await limiter.chargeBody(undefined, 100 * large);
});

test('an account downloads a limited number of files at once, and other accounts theirs', async () => {
  const limiter = limiterOf({ maxOpen: 1, maxRunning: 1 });
  const release = await limiter.download('a');
  await limiter.download('a');
  await expect(limiter.download('a')).rejects.toThrow('more than 2 files at once');
  await limiter.download('b');
  release();
  release();
  await limiter.download('a');
  await expect(limiter.download('a')).rejects.toThrow('more than 2 files at once');
});

test('a key over its rate is refused unread until the rate allows more, other keys are not', async () => {
  const limiter = limiterOf({ requestsPerSecond: 1 });
  const keys = limiter.limitKeys({ findKey: async () => undefined });
  const [hash, other] = [Buffer.from('k'), Buffer.from('o')];
  const print = hash.toString('base64');
  await keys.findKey(hash);
  expect(limiter.refusalOf(print, 0)).toBeUndefined();
  await expect(keys.findKey(hash)).rejects.toMatchObject({ code: 'too_many' });
  expect(limiter.refusalOf(print, 0)).toMatchObject({ error: { code: 'too_many', retryAfterSeconds: 1 } });
  expect(limiter.refusalOf(other.toString('base64'), 0)).toBeUndefined();
  await waitFor('the rate to allow more', () => limiter.refusalOf(print, 0) === undefined);
  await keys.findKey(hash);
});

test('a refusal says how long the key has to wait from now on', async () => {
  const limiter = limiterOf({ requestsPerMinute: 1 });
  await limiter.countKey('a', 'k');
  await expect(limiter.countKey('a', 'k')).rejects.toMatchObject({ retryAfterSeconds: 60 });
  const secondsLeft = () => limiter.refusalOf('k', 0)?.error.retryAfterSeconds ?? 0;
  await waitFor('a second of it to be over', () => secondsLeft() === 59);
});

test('a key that sent too many bytes is refused large bodies unread, and small ones are admitted', async () => {
  const limiter = limiterOf({ requestsPerSecond: 9 });
  const large = 4 * 1_024 * 1_024;
  for (let n = 0; n < 2; n++) await limiter.chargeBody('a', large, 'k');
  await expect(limiter.chargeBody('a', large, 'k')).rejects.toMatchObject({ code: 'too_many' });
  expect(limiter.refusalOf('k', large)).toMatchObject({ sparesDownloads: false });
  expect(limiter.refusalOf('k', 1_000)).toBeUndefined();
});

test('a key has a number of requests in a minute, apart from other keys of its account, and the operator has none', async () => {
  const limiter = limiterOf({ requestsPerSecond: 9, requestsPerMinute: 2 });
  expect(await limiter.rateLimitOf('a', 'k')).toMatchObject({
    ratelimit: '"default";r=2;t=60, "burst";r=9;t=1',
  });
  await limiter.countKey('a', 'k');
  (await limiter.admit('a', 'k'))();
  await limiter.countKey('a', 'k');
  expect(limiter.refusalOf('k', 0)).toBeUndefined();
  expect(await limiter.rateLimitOf('a', 'k')).toMatchObject({
    ratelimit: expect.stringMatching(/^"default";r=0;t=\d+, "burst";r=\d;t=1$/),
  });
  await expect(limiter.countKey('a', 'k')).rejects.toMatchObject({ code: 'too_many', retryAfterSeconds: 60 });
  expect(limiter.refusalOf('k', 0)).toMatchObject({ sparesDownloads: true });
  await limiter.countKey('a', 'other');
  for (let n = 0; n < 5; n++) await limiter.countKey(undefined, 'operator');
  expect(await limiter.rateLimitOf(undefined, 'operator')).toEqual({});
});

test('an account with as many open requests as it may is refused unread until one of them ends, and others are not', async () => {
  const limiter = limiterOf({ maxOpen: 2, maxRunning: 2 });
  const [release] = [await limiter.admit('a', 'k'), await limiter.admit('a', 'k')];
  expect(limiter.refusalOf('k', 0)).toBeUndefined();
  await expect(limiter.admit('a', 'k')).rejects.toMatchObject({ code: 'too_many' });
  expect(limiter.refusalOf('k', 0)).toMatchObject({ error: { code: 'too_many' } });
  expect(limiter.refusalOf('other', 0)).toBeUndefined();
  release?.();
  expect(limiter.refusalOf('k', 0)).toBeUndefined();
  await limiter.admit('a', 'k');
});
