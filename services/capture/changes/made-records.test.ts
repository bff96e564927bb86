import { expect, test } from 'vitest';
import { createMadeRecords, type FindAccount } from './made-records.ts';

const MOVED: FindAccount = (version) => (version === 'before' ? 'former' : 'later');
const STAYS: FindAccount = () => 'own';

test('below a parent that moves, only what was there before the transaction was the former account’s', () => {
  const made = createMadeRecords();
  expect(made.accountOf('there before', MOVED)).toBe('former');
  made.note('made', MOVED);
  expect(made.accountOf('made', MOVED)).toBe('later');
  expect(made.accountOf('there before', MOVED)).toBe('former');
  expect(made.accountOf('made', STAYS)).toBe('own');
});

test('beyond the limit nobody can say whose some were, for which the resource is told once to begin again', () => {
  const made = createMadeRecords(1);
  for (let n = 0; n < 10; n += 1) made.note(`other ${n}`, STAYS);
  made.note('first', MOVED);
  expect(made.accountOf('any', MOVED)).toBe('former');
  made.note('second', MOVED);
  expect(made.accountOf('first', MOVED)).toBe('later');
  expect(made.accountOf('second', MOVED)).toBeUndefined();
  expect(made.accountOf('any', STAYS)).toBe('own');
  expect(['items', 'items', 'others'].map((name) => made.isResetDue(name))).toEqual([true, false, true]);
});
