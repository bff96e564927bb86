import { expect, test } from 'vitest';
import { spreadReplicas } from './spread-replicas.ts';

test('partitions keep their replicas and leader, and get others on the brokers that have the fewest', () => {
  const partitions = [
    { partitionId: 0, replicas: [1] },
    { partitionId: 1, replicas: [1] },
    { partitionId: 2, replicas: [2, 1, 3] },
    { partitionId: 3, replicas: [3] },
  ];
  const [spread] = spreadReplicas([{ name: 't', partitions }], [1, 2, 3, 4], 3);
  expect(spread?.topic).toBe('t');
  // What has enough is left alone.
  expect(spread?.partitionAssignment.map(({ partition }) => partition)).toEqual([0, 1, 3]);
  for (const { partition, replicas } of spread?.partitionAssignment ?? []) {
    expect(replicas[0]).toBe(partitions[partition]?.replicas[0]);
    expect(new Set(replicas).size).toBe(3);
  }
  expect(spread?.partitionAssignment.map(({ replicas }) => replicas)).toEqual([
    [1, 4, 2],
    [1, 4, 2],
    [3, 4, 1],
  ]);
});

test('more replicas than brokers are refused', () => {
  expect(() => spreadReplicas([], [1, 2], 3)).toThrow('the cluster has 2 brokers');
});
