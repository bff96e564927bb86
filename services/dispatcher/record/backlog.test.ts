import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBacklog, type ReadChange } from './backlog.ts';

const change = (offset: number, account: string | undefined, part: Partial<ReadChange> = {}): ReadChange => ({
  offset: String(offset),
  value: Buffer.from(`${offset}`),
  account,
  link: { chain: 'a', seq: offset },
  isAfterGap: false,
  ...part,
});
const offsets = (changes: readonly ReadChange[]) => changes.map(({ offset }) => Number(offset));

test('what is read behind a large transaction of another account is taken with the next statement', () => {
  const backlog = createBacklog();
  for (let n = 0; n < 5_000; n++) backlog.add(change(n, 'large'));
  const first = backlog.take(1_000);
  backlog.add(change(5_000, 'small'));
  expect(backlog.finish(first)).toEqual({ offset: '999', link: { chain: 'a', seq: 999 } });
  const second = backlog.take(1_000);
  expect(offsets(second)).toContain(5_000);
  expect(backlog.finish(second)?.offset).toBe('1998');
});

test('what concerns all accounts, or is to go in order, is taken behind everything before it and ahead of everything after it', () => {
  const backlog = createBacklog();
  backlog.add(change(1, 'a'));
  backlog.add(change(2, 'b'));
  backlog.add(change(3, undefined));
  backlog.add(change(4, 'c'), true);
  backlog.add(change(5, 'a'));
  const taken = [1, 2, 3].map(() => offsets(backlog.take(1_000)));
  expect(taken).toEqual([[1, 2], [3, 4], [5]]);
});

test('an offset is told when everything before it is recorded, also what holds nothing', () => {
  const backlog = createBacklog();
  backlog.pass('3');
  expect(backlog.finish([])).toEqual({ offset: '3', link: undefined });
  backlog.add(change(4, 'a'));
  backlog.pass('9');
  expect(backlog.finish([])).toBeUndefined();
  expect(backlog.finish(backlog.take(10))).toEqual({ offset: '9', link: { chain: 'a', seq: 4 } });
  expect(backlog.bytes).toBe(0);
});

test('whatever is added and taken: each once, each account in order, nothing told that is not recorded', () => {
  const account = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('a', 'b', 'c') },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
  const steps = fc.array(
    fc.record({ adds: fc.array(account, { maxLength: 300 }), limit: fc.integer({ min: 1, max: 250 }) }),
  );
  fc.assert(
    fc.property(steps, (list) => {
      const backlog = createBacklog();
      const added: ReadChange[] = [];
      const recorded: ReadChange[] = [];
      let toldTo = -1;
      const record = (limit: number) => {
        const taken = backlog.take(limit);
        expect(taken.length).toBeLessThanOrEqual(limit);
        recorded.push(...taken);
        toldTo = Number(backlog.finish(taken)?.offset ?? toldTo);
        const done = new Set(offsets(recorded));
        for (let n = 0; n <= toldTo; n++) expect(done.has(n)).toBe(true);
        return taken.length;
      };
      for (const { adds, limit } of list) {
        for (const each of adds) {
          const next = change(added.length, each);
          added.push(next);
          backlog.add(next);
        }
        record(limit);
      }
      while (record(100) > 0);
      expect(offsets(recorded).toSorted((a, b) => a - b)).toEqual(offsets(added));
      expect(toldTo).toBe(added.length - 1);
      expect(backlog.bytes).toBe(0);
      for (const each of ['a', 'b', 'c']) {
        const seen = ({ account: of }: ReadChange) => of === each || of === undefined;
        expect(offsets(recorded.filter(seen))).toEqual(offsets(added.filter(seen)));
      }
    }),
    { numRuns: 50 },
  );
});
