import { expect, test } from 'vitest';
import { startFakeTracing } from '../../../test/support/fake-tracing.ts';
import { createTransactionTraces } from './trace-transactions.ts';

const source = (commitLsn: bigint, index = 0) => ({
  lsn: commitLsn,
  commitLsn,
  xid: commitLsn,
  index,
  committedAtMicros: 900_000n,
  bulkJobId: null,
});

test('there is nothing to ask for when tracing is off', () => {
  expect(createTransactionTraces('changes', () => 0)).toBeUndefined();
});

test('changes of a transaction have its trace, which ends once all of them are published', () => {
  using tracing = startFakeTracing();
  const traces = createTransactionTraces('changes', () => 1_000);
  const first = traces?.traceparentOf(source(1n));
  expect(traces?.traceparentOf(source(1n, 1))).toBe(first);
  const second = traces?.traceparentOf(source(2n));
  expect(second).not.toBe(first);
  expect(tracing.spans.map(({ start }) => start.startedAtMs)).toEqual([900, 900]);
  traces?.published(true);
  expect(tracing.spans.map(({ isOpen }) => isOpen)).toEqual([false, true]);
  expect(traces?.traceparentOf(source(2n, 1))).toBe(second);
  traces?.published(false);
  expect(tracing.spans.map(({ isOpen }) => isOpen)).toEqual([false, false]);
  expect(tracing.spans.map(({ attributes }) => attributes['tandem.changes'])).toEqual([2, 2]);
});

test('a busy source begins fifty traces a second, and fifty changes of a transaction are traced', () => {
  using tracing = startFakeTracing();
  let nowMs = 5_000;
  const traces = createTransactionTraces('changes', () => nowMs);
  const large = Array.from({ length: 1_000 }, (_, index) => traces?.traceparentOf(source(1n, index)));
  expect(large.filter((each) => each !== undefined)).toHaveLength(50);
  for (let lsn = 2n; lsn <= 1_000n; lsn += 1n) traces?.traceparentOf(source(lsn));
  expect(tracing.spans).toHaveLength(50);
  nowMs += 1_000;
  for (let lsn = 1_001n; lsn <= 2_000n; lsn += 1n) traces?.traceparentOf(source(lsn));
  expect(tracing.spans).toHaveLength(100);
  traces?.published(false);
  expect(tracing.spans.every(({ isOpen }) => !isOpen)).toBe(true);
  expect(tracing.spans[0]?.attributes['tandem.changes']).toBe(1_000);
});
