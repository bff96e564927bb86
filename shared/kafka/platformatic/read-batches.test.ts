import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type RecordsBatch, readCommitted } from './read-batches.ts';

const marker = (type: number) => {
  const key = Buffer.alloc(4);
  key.writeInt16BE(type, 2);
  return key;
};

const batchOf = (
  firstOffset: number,
  producerId: number,
  attributes: number,
  keys: readonly (Buffer | null)[],
): RecordsBatch => ({
  firstOffset: BigInt(firstOffset),
  lastOffsetDelta: keys.length - 1,
  attributes,
  firstTimestamp: 1_000n,
  producerId: BigInt(producerId),
  records: keys.map((key, offsetDelta) => ({
    offsetDelta,
    timestampDelta: 5n,
    key,
    value: Buffer.from(String(firstOffset + offsetDelta)),
    headers: [],
  })),
});

const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

/** What one producer does next in a log: records of its transaction, or the end of it. */
const STEPS = fc.array(
  fc.record({
    producer: fc.integer({ min: 0, max: 2 }),
    does: fc.constantFrom('records', 'records', 'commit', 'abort', 'plain' as const),
    count: fc.integer({ min: 1, max: 3 }),
  }),
  { maxLength: 40 },
);

test('of any log, from any offset and up to any, exactly the committed records are read, in order', () => {
  fc.assert(
    fc.property(STEPS, fc.nat(60), fc.nat(40), (steps, from, cutBatches) => {
      const log: RecordsBatch[] = [];
      const open = new Map<number, number[]>();
      const aborted: { producerId: bigint; firstOffset: bigint; last: number }[] = [];
      const committed: number[] = [];
      let next = 0;
      for (const { producer, does, count } of steps) {
        const offsets = Array.from({ length: count }, (_, index) => next + index);
        const own = open.get(producer);
        if (does === 'plain' || does === 'records') {
          const isPlain = does === 'plain';
          const attributes = isPlain ? 0 : TRANSACTIONAL;
          log.push(
            batchOf(
              next,
              isPlain ? -1 : producer,
              attributes,
              offsets.map(() => null),
            ),
          );
          if (isPlain) committed.push(...offsets);
          else open.set(producer, [...(own ?? []), ...offsets]);
          next += count;
        } else if (own !== undefined) {
          log.push(batchOf(next, producer, TRANSACTIONAL | CONTROL, [marker(does === 'abort' ? 0 : 1)]));
          if (does === 'commit') committed.push(...own);
          else aborted.push({ producerId: BigInt(producer), firstOffset: BigInt(own[0] ?? 0), last: next });
          open.delete(producer);
          next += 1;
        }
      }
      // A broker gives nothing from the first undecided record on, and tells of aborted transactions that end behind `from`.
      const stable = Math.min(next, ...[...open.values()].map(([first]) => first ?? next));
      const records = log
        .filter((each) => Number(each.firstOffset) < stable)
        .filter((each) => Number(each.firstOffset) + each.lastOffsetDelta >= from)
        .slice(0, cutBatches + 1);
      const last = records.at(-1);
      const end = last === undefined ? from : Number(last.firstOffset) + last.lastOffsetDelta + 1;
      const abortedTransactions = aborted.filter(
        (each) => each.last >= from && Number(each.firstOffset) < end,
      );
      const found = readCommitted({ records, abortedTransactions }, BigInt(from));
      expect(found?.messages.map(({ offset }) => Number(offset)) ?? []).toEqual(
        committed.filter((offset) => offset >= from && offset < end).sort((a, b) => a - b),
      );
      if (found !== undefined) expect(found.lastOffset).toBe(BigInt(end - 1));
    }),
    { numRuns: 1_000 },
  );
});

test('an empty fetch says nothing; a marker that the broker has emptied is passed over', () => {
  expect(readCommitted({ records: null }, 3n)).toBeUndefined();
  const emptied = batchOf(4, 1, TRANSACTIONAL | CONTROL, []);
  const found = readCommitted({ records: [{ ...emptied, lastOffsetDelta: 0 }] }, 3n);
  expect(found).toEqual({ messages: [], lastOffset: 4n });
});

test('a name of a header that comes twice has both values', () => {
  const [record] = batchOf(0, -1, 0, [null]).records;
  const pair = (name: string, value: string) => [Buffer.from(name), Buffer.from(value)] as const;
  const headers = [pair('a', '1'), pair('b', '2'), pair('a', '3')];
  const records = [
    { ...batchOf(0, -1, 0, []), lastOffsetDelta: 0, records: record ? [{ ...record, headers }] : [] },
  ];
  expect(readCommitted({ records }, 0n)?.messages[0]).toMatchObject({
    timestamp: '1005',
    headers: { a: [Buffer.from('1'), Buffer.from('3')], b: Buffer.from('2') },
  });
});
