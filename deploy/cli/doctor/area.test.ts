import { expect, test } from 'vitest';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { Area, describeClock, messageOf, ok } from './area.ts';

test('a clock is compared at the middle of the question, and what the question took is allowed for', () => {
  expect(describeClock(10_050, 10_000, 10_100).status).toBe('ok');
  expect(describeClock(11_049, 10_000, 10_100)).toMatchObject({
    status: 'ok',
    detail: expect.stringMatching(/999 ms/),
  });
  expect(describeClock(11_101, 10_000, 10_100).status).toBe('warning');
  const slow = describeClock(10_000, 20_000, 20_100);
  expect(slow).toMatchObject({
    status: 'warning',
    detail: expect.stringMatching(/-10050 ms/),
    fix: expect.stringMatching(/NTP/),
  });
  expect(describeClock(17_000, 10_000, 20_000).status).toBe('ok');
  expect(slow.detail).toContain('tokens');
});

test('an error is shown with its causes, each once', () => {
  const refused = new Error('connect ECONNREFUSED');
  expect(messageOf(new Error('it failed', { cause: new AggregateError([refused, refused]) }))).toBe(
    'it failed: connect ECONNREFUSED; connect ECONNREFUSED',
  );
  expect(messageOf(new SetupError('not usable', ['this', 'that']))).toBe('this; that');
});

test('an attempt that takes too long is a failure, and the next one is made all the same', async () => {
  const area = new Area('part', 20, new AbortController().signal);
  await area.attempt(
    'first',
    'wait',
    () => new Promise<never>(() => undefined),
    () => ok('never'),
  );
  await area.attempt(
    'second',
    'wait',
    async () => 7,
    (result) => ok(String(result)),
  );
  expect(area.findings).toEqual([
    { area: 'part', what: 'first', status: 'failure', detail: 'no response in 0.02 s', fix: 'wait' },
    { area: 'part', what: 'second', status: 'ok', detail: '7' },
  ]);
});
