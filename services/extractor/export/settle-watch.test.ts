import { expect, test } from 'vitest';
import { createLog } from '../../../shared/runtime/log.ts';
import { createSettleWatch } from './settle-watch.ts';

test('whom an export waits for is told after 10 s and each minute, and the wait ends', async () => {
  let nowMs = 0;
  const lines: string[] = [];
  const watch = createSettleWatch({
    exportId: 'exp_1',
    timeoutMs: 100_000,
    source: {
      query: async () => ({
        rows: [{ pid: '42', age_seconds: '90', application_name: 'nightly', state: 'idle in transaction' }],
        rowCount: 1,
      }),
    },
    log: createLog('info', {}, (line) => void lines.push(line)),
    now: () => nowMs,
  });
  for (nowMs = 0; nowMs < 100_000; nowMs += 1_000) await watch.check();
  expect(lines.map((line) => JSON.parse(line).waitedMs)).toEqual([10_000, 70_000]);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    event: 'export.waits_for_transactions',
    transactions: [{ pid: 42, ageSeconds: 90, application: 'nightly' }],
  });
  await expect(watch.check()).rejects.toMatchObject({ code: 'feed_not_settled' });
});
