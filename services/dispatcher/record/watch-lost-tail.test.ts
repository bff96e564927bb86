import { expect, onTestFinished, test, vi } from 'vitest';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { type Log, silentLog } from '../../../shared/runtime/log.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { createLostTailWatch, type LostTailDeps } from './watch-lost-tail.ts';

type LoseTail = LostTailDeps['recorder']['loseTail'];
const ROW = {
  partition: 3,
  chain: 'a',
  seq: '1',
  chain_id: 'a',
  published: '2',
  passed_lsn: '0/64',
  last_commit_lsn: '0/60',
};

/** A partition whose last records are deleted, of which fewer are noted as recorded than published: one row for each look. */
const watchFor = async (isLost: boolean, looks: readonly Partial<typeof ROW>[] = [{}]) => {
  const loseTail = vi.fn<LoseTail>(async () => isLost);
  const logged: string[] = [];
  let looked = 0;
  const look = async () => {
    const rows = [{ ...ROW, ...looks[Math.min(looked, looks.length - 1)] }];
    looked += 1;
    return { rows };
  };
  const deps: LostTailDeps = {
    db: { query: look } as unknown as Queryable,
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
  await waitFor('two looks', () => loseTail.mock.calls.length > 1);
  return { logged, told: loseTail.mock.calls[0] };
};

test('a loss at the end is logged, and what was read and is about to be recorded is none', async () => {
  expect((await watchFor(true)).logged).toContain('changes.lost_at_end');
  expect((await watchFor(false)).logged).toEqual([]);
});

test('a loss that may be amid a transaction is told behind that, however much comes behind it', async () => {
  const { told } = await watchFor(true, [
    { last_commit_lsn: '0/64' },
    { last_commit_lsn: '0/64' },
    { passed_lsn: '0/80', last_commit_lsn: '0/90', published: '3' },
    { passed_lsn: '0/A0', last_commit_lsn: '0/90', published: '3' },
  ]);
  expect(told).toMatchObject([3, { chain: 'a', seq: 2 }, 7n, { commitLsn: 0x80n }]);
});
