import { expect, test } from 'vitest';
import { envReader } from './env.ts';
import { describeError, SetupError } from './errors.ts';
import { createLog, silentLog } from './log.ts';
import { createNotifier } from './notifier.ts';
import { backoffMs } from './retry.ts';
import { runService } from './run-service.ts';
import { runUntilFirstFailure } from './worker.ts';

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

test('all wrong settings are reported together', () => {
  const read = envReader({ PORT: 'x', KAFKA_SSL: 'maybe', DELIVERY_SENDER: 'c' });
  read.integer('PORT', { default: 1 });
  read.boolean('KAFKA_SSL', false);
  read.oneOf('DELIVERY_SENDER', ['a', 'b'], 'a');
  read.string('DATABASE_URL');
  expect(() => read.done({})).toThrow(/PORT .*\n.*KAFKA_SSL .*\n.*DELIVERY_SENDER .*\n.*DATABASE_URL/s);
});

test('an empty setting counts as absent', () => {
  expect(envReader({ HOST: ' ' }).string('HOST', 'fallback')).toBe('fallback');
});

test('a secret does not show in a log line', () => {
  const lines: string[] = [];
  const secret = envReader({ SECRET_KEY: 'hunter2' }).secret('SECRET_KEY');
  createLog('info', {}, (line) => lines.push(line)).info('settings.read', { secret, lsn: 2n ** 60n });
  expect(lines[0]).not.toContain('hunter2');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ secret: { set: true }, lsn: '1152921504606846976' });
});

test('an error is described with its chain of causes, also a circular one', () => {
  const inner = new Error('inner');
  const outer = new Error('outer', { cause: inner });
  inner.cause = outer;
  expect(describeError(outer)).toMatchObject({ message: 'outer', causes: expect.any(Array) });
});

test('a set-up error names each finding on a line of its own', () => {
  expect(new SetupError('wrong', ['one', 'two']).message).toBe('wrong\n  - one\n  - two');
});

test('a notification before the wait is not lost, and is used up by it', async () => {
  const notifier = createNotifier();
  notifier.notify();
  notifier.notify();
  await notifier.wait(60_000);
  const stop = new AbortController();
  const waiting = notifier.wait(60_000, stop.signal);
  // The first one would be woken by nothing but its time.
  await expect(notifier.wait(60_000)).rejects.toThrow('one waiter');
  stop.abort();
  await waiting;
});

test('backoff doubles, stays within its bounds, and is capped', () => {
  const lowest = [0, 1, 2, 9].map((n) => backoffMs(n, { initialMs: 100, maxMs: 5_000, random: () => 0 }));
  const highest = [0, 1, 2, 9].map((n) => backoffMs(n, { initialMs: 100, maxMs: 5_000, random: () => 1 }));
  expect(lowest).toEqual([50, 100, 200, 2_500]);
  expect(highest).toEqual([100, 200, 400, 5_000]);
});

test('the first failing worker stops the others and is thrown with its name', async () => {
  let stopped = false;
  const failing = { name: 'bad', run: () => Promise.reject(new Error('no')) };
  const steady = {
    name: 'good',
    async run(signal: AbortSignal) {
      await untilAborted(signal);
      stopped = true;
    },
  };
  await expect(runUntilFirstFailure([failing, steady], new AbortController().signal)).rejects.toThrow('bad');
  expect(stopped).toBe(true);
});

test('a worker that ends before it is told to is a failure', async () => {
  const worker = { name: 'short', run: () => Promise.resolve() };
  await expect(runUntilFirstFailure([worker], new AbortController().signal)).rejects.toThrow('short');
});

test('a service closes what it opened newest first, also when it fails', async () => {
  const closed: string[] = [];
  const run = runService(
    async ({ cleanup }) => {
      cleanup.defer(() => void closed.push('first'));
      cleanup.defer(() => void closed.push('second'));
      return [{ name: 'bad', run: () => Promise.reject(new Error('no')) }];
    },
    silentLog,
    new AbortController().signal,
  );
  await expect(run).rejects.toThrow('bad');
  expect(closed).toEqual(['second', 'first']);
});
