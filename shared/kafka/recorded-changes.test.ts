import { expect, test } from 'vitest';
import { createRecordedChanges } from './recorded-changes.ts';

function setUp(partitions: { low: string; high: string; committed: string }[]) {
  const admin = {
    fetchTopicOffsets: async () =>
      partitions.map(({ low, high }, partition) => ({ partition, offset: high, low, high })),
    fetchOffsets: async () => [
      {
        topic: 'changes',
        partitions: partitions.map(({ committed: offset }, partition) => ({
          partition,
          offset,
          metadata: null,
        })),
      },
    ],
  };
  return { partitions, recorded: createRecordedChanges(admin, 'changes', 'group') };
}

test('changes are recorded once the committed offset of each partition has reached its end', async () => {
  const { partitions, recorded } = setUp([
    { low: '0', high: '10', committed: '9' },
    { low: '3', high: '7', committed: '7' },
  ]);
  const end = await recorded.end();
  expect(await recorded.missing(end)).toEqual(['0:9']);
  partitions[0] = { low: '0', high: '50', committed: '10' };
  expect(await recorded.missing(end)).toEqual([]);
});

test('a partition that was never read counts as long as it has something', async () => {
  const { recorded } = setUp([
    { low: '0', high: '0', committed: '-1' },
    { low: '8', high: '8', committed: '-1' },
    { low: '0', high: '2', committed: '-1' },
  ]);
  expect(await recorded.missing(await recorded.end())).toEqual(['2:-1']);
});
