import { expect, test } from 'vitest';
import { silentLog } from './log.ts';
import { retry } from './retry.ts';

const options = { what: 'trying', backoff: { initialMs: 1, maxMs: 1 }, log: silentLog };

function failing(count: number): () => Promise<number> {
  let attempt = 0;
  return async () => {
    attempt += 1;
    if (attempt <= count) throw new Error(`attempt ${attempt}`);
    return attempt;
  };
}

test('work is repeated until it succeeds, with a step before each repeat', async () => {
  const failures: string[] = [];
  const beforeRetry = (error: unknown) => failures.push((error as Error).message);
  expect(await retry({ ...options, beforeRetry }, failing(2))).toBe(3);
  expect(failures).toEqual(['attempt 1', 'attempt 2']);
});

test('the last failure is thrown when the attempts are used up', async () => {
  await expect(retry({ ...options, maxAttempts: 3 }, failing(5))).rejects.toThrow('attempt 3');
});

test('a failure that is not retryable is thrown at once', async () => {
  const isRetryable = (error: unknown) => (error as Error).message !== 'attempt 2';
  await expect(retry({ ...options, isRetryable }, failing(5))).rejects.toThrow('attempt 2');
});

test('an abort ends the wait with the failure before it', async () => {
  const stop = new AbortController();
  const work = async () => {
    setImmediate(() => stop.abort());
    throw new Error('away');
  };
  const long = { initialMs: 60_000, maxMs: 60_000 };
  await expect(retry({ ...options, backoff: long, signal: stop.signal }, work)).rejects.toThrow('away');
});

test('failures get louder in the log', async () => {
  const levels: string[] = [];
  const note = (level: string) => () => void levels.push(level);
  const log = { ...silentLog, debug: note('debug'), warn: note('warn'), error: note('error') };
  await retry({ ...options, log }, failing(10));
  expect(levels).toEqual(['debug', 'debug', ...Array.from({ length: 7 }, () => 'warn'), 'error']);
});
