import { expect, test } from 'vitest';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import { startVirtualTime } from '../../../test/simulation/virtual-time.ts';
import { pollSnapshots } from './source-queries.ts';

test('the source is looked at seldom while nothing is unsettled, and at once when somebody waits', async () => {
  using time = startVirtualTime();
  const seen: string[] = [];
  const notifier = createNotifier();
  const stop = new AbortController();
  const polling = pollSnapshots(
    {
      db: { query: async () => ({ rows: [{ snapshot: '5:9:' }] }) } as never,
      isBusy: () => false,
      onSnapshot: ({ xmax }) => seen.push(String(xmax)),
      notifier,
      log: silentLog,
    },
    stop.signal,
  );
  await time.advance(0);
  expect(seen).toHaveLength(1);
  await time.advance(999);
  expect(seen).toHaveLength(1);
  await time.advance(1);
  expect(seen).toHaveLength(2);
  notifier.notify();
  await time.advance(0);
  expect(seen).toHaveLength(3);
  stop.abort();
  await polling;
});
