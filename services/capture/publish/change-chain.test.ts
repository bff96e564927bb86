import { expect, test } from 'vitest';
import { readChainLink } from '../../../shared/protocol/headers.ts';
import { createChangeChain } from './change-chain.ts';

const change = (partition: number) => ({
  key: 'k',
  value: Buffer.alloc(1),
  partition,
  headers: { op: 'insert' },
});

test('each partition is counted from 1, and goes on from the state that was stored', () => {
  const chain = createChangeChain(undefined, 1_700_000_000_000);
  const { id } = chain.state();
  const seqs = (of: ReturnType<typeof createChangeChain>, ...partitions: number[]) =>
    of.link(partitions.map(change)).map(({ headers }) => readChainLink(headers)?.seq);
  expect(seqs(chain, 3, 3, 0)).toEqual([1, 2, 1]);
  const state = chain.state();
  expect(state.seqs).toEqual([1, 0, 0, 2]);
  expect(seqs(chain, 3)).toEqual([3]);
  const again = createChangeChain(state, 0);
  expect(again.state().id).toBe(id);
  expect(seqs(again, 3, 1)).toEqual([3, 1]);
  expect(createChangeChain(undefined, 1_700_000_000_001).state().id > id).toBe(true);
});
