import { expect, test } from 'vitest';
import { formatStoreMark, laterMark, parseStoreMark, type StoreMark } from './restored-store.ts';

const MARK: StoreMark = {
  systemId: '7',
  timeline: 2,
  passedLsn: 0x1_0000_0010n,
  updatedAtMs: 1_700_000_000_123,
};

test('a mark is read as it was written, also one that an earlier version wrote without its time', () => {
  expect(formatStoreMark(MARK)).toBe('7 2 1/10 1700000000123');
  expect(parseStoreMark(formatStoreMark(MARK))).toEqual(MARK);
  expect(parseStoreMark('7 2 1/10')).toEqual({ ...MARK, updatedAtMs: undefined });
  expect(formatStoreMark({ ...MARK, updatedAtMs: undefined })).toBe('7 2 1/10');
  for (const none of [undefined, null, '', '7 2 1/10 x', '7 2']) expect(parseStoreMark(none)).toBeUndefined();
});

test('of two marks the one of the later state counts, whatever their servers and positions', () => {
  const later = { ...MARK, systemId: '8', passedLsn: 1n, updatedAtMs: 1_700_000_000_124 };
  expect(laterMark(MARK, later)).toBe(later);
  expect(laterMark(later, MARK)).toBe(later);
  expect(laterMark(MARK, { ...later, updatedAtMs: undefined })).toBe(MARK);
  expect(laterMark(undefined, MARK)).toBe(MARK);
  expect(laterMark(MARK, undefined)).toBe(MARK);
});
