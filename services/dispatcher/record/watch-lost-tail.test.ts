import { expect, onTestFinished, test, vi } from 'vitest';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { type Log, silentLog } from '../../../shared/runtime/log.ts';
import { createLostTailWatch, type LostTailDeps } from './watch-lost-tail.ts';

/** A partition whose last records are deleted, of which fewer are noted as recorded than published. */
const watchFor = async (isLost: boolean) => {
  const loseTail = vi.fn(async () => isLost);
  const logged: string[] = [];
  const row = { partition: 3, chain: 'a', seq: '1', chain_id: 'a', published: '2', passed_lsn: '0/64' };
  const deps: LostTailDeps = {
    db: { query: async () => ({ rows: [row] }) } as unknown as Queryable,
    bounds: {
      ends: async () => new Map([[3, { low: 7n, high: 7n }]]),
      committed: async () => new Map([[3, 5n]]),
    },
    recorder: { ownPartitions: () => new Set([3]), loseTail },
    now: () => 0,
    log: { ...silentLog, error: (event: string) => void logged.push(event) } as Log,
  };
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  void createLostTailWatch(deps, 1).run(stop.signal);
  await vi.waitFor(() => expect(loseTail.mock.calls.length).toBeGreaterThan(1));
  return logged;
};

test('a loss at the end is logged, and what was read and is about to be recorded is none', async () => {
  expect(await watchFor(true)).toContain('changes.lost_at_end');
  expect(await watchFor(false)).toEqual([]);
});
