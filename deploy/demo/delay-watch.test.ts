import { expect, test } from 'vitest';
import { createDelayWatch } from './delay-watch.ts';

test('delays count from the first event that did not wait behind others, until the watch is stopped', () => {
  const watch = createDelayWatch(10_000);
  watch.see(2_000, 10_500);
  watch.see(12_000, 14_000);
  expect(watch.text()).toBe('did not catch up before the bulk jobs started');
  watch.see(14_960, 15_000);
  watch.see(15_000, 15_020);
  watch.stop();
  watch.see(15_000, 19_000);
  expect(watch.text()).toBe(
    'caught up in 5.0 s; after that, commit to webhook p50 40.0 ms, p90 40.0 ms, p99 40.0 ms, longest 40.0 ms',
  );
});
