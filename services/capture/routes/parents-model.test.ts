import fc from 'fast-check';
import { expect, test } from 'vitest';
import { feedOf, PARENTS, play, step, type Write } from '../../../test/support/parents-model.ts';

const steps = fc.array(step, { minLength: 5, maxLength: 60, size: 'max' });

test('snapshot and feed give each account what its parents say, or it is told to begin again', async () => {
  await fc.assert(
    fc.asyncProperty(steps, (all) => play(all)),
    { numRuns: 3_000 },
  );
});

test('an account lacks records, or keeps others, if nobody is told that a snapshot sees a parent later than its child', async () => {
  const details = await fc.check(
    fc.asyncProperty(steps, (all) => play(all, { isLateUntold: true })),
    { numRuns: 20_000, endOnFailure: true },
  );
  expect(details.failed).toBe(true);
});

test.each(['beginning', 'chunk'] as const)(
  'a chunked export is wrong if nobody asks whether its %s sees a parent later than its child',
  async (unasked) => {
    const details = await fc.check(
      fc.asyncProperty(steps, (all) => play(all, { unasked })),
      { numRuns: 20_000, endOnFailure: true },
    );
    expect(details.failed).toBe(true);
  },
);

/** A parent comes with its children or before them, and goes with them or after them. None moves. */
const ordinary = fc
  .array(
    fc.record({
      parent: fc.integer({ min: 1, max: 4 }),
      child: fc.integer({ min: 1, max: 3 }),
      does: fc.constantFrom('open' as const, 'add' as const, 'remove' as const, 'close' as const),
      isAtOnce: fc.boolean(),
    }),
    { minLength: 20, maxLength: 80 },
  )
  .map((steps) => {
    const transactions: { writes: Write[] }[] = [];
    const open = new Map<number, Set<number>>(PARENTS.map((row) => [row, new Set()]));
    for (const { parent, child, does, isAtOnce } of steps) {
      const row = parent * 10 + child;
      const of = open.get(parent);
      const opens: Write = { kind: 'parent', row: parent, account: 'a' };
      const adds: Write = { kind: 'child', row, parent };
      const goes = [...(of ?? [])].map((each): Write => ({ kind: 'child', row: each, parent: null }));
      const closes: Write = { kind: 'parent', row: parent, account: null };
      const writes = new Map<string, Write[]>([
        ['open', of === undefined ? (isAtOnce ? [adds, opens] : [opens]) : []],
        ['add', of === undefined ? [] : [adds]],
        ['remove', of?.has(row) === true ? [{ kind: 'child', row, parent: null }] : []],
        ['close', of === undefined ? [] : isAtOnce ? [closes, ...goes] : [...goes, closes]],
      ]).get(does);
      transactions.push({ writes: writes ?? [] });
      if (does === 'open' && of === undefined) open.set(parent, new Set(isAtOnce ? [row] : []));
      if (does === 'add') of?.add(row);
      if (does === 'remove') of?.delete(row);
      if (does === 'close') open.delete(parent);
    }
    return transactions;
  });

test('nobody is told to begin again while parents come before their children stay, and go with them', async () => {
  await fc.assert(
    fc.asyncProperty(ordinary, async (transactions) => {
      const events = await feedOf(transactions);
      expect(events.filter(({ change }) => change === 'reset')).toEqual([]);
      expect(events.every(({ account }) => account === 'a')).toBe(true);
    }),
    { numRuns: 500 },
  );
});
