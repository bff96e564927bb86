import { expect, test } from 'vitest';
import { classifySlot, type SlotHealth, showBytes } from './slot-health.ts';

const MB = 1_024 * 1_024;
const THRESHOLDS = { warnBytes: 100 * MB, refuseBytes: 1_000 * MB };

const slot = (fields: Partial<SlotHealth> = {}): SlotHealth => ({
  plugin: 'pgoutput',
  isOfThisDatabase: true,
  isTemporary: false,
  isActive: true,
  walStatus: 'reserved',
  invalidationReason: null,
  lagBytes: 0,
  retainedBytes: 0,
  safeWalBytes: null,
  ...fields,
});
const state = (fields: Partial<SlotHealth>) => classifySlot(slot(fields), THRESHOLDS).state;

test('what the source keeps is judged by the thresholds, each from its very value on', () => {
  expect(state({ retainedBytes: 100 * MB - 1 })).toBe('ok');
  expect(state({ retainedBytes: 100 * MB })).toBe('warn');
  expect(state({ retainedBytes: 1_000 * MB - 1 })).toBe('warn');
  expect(state({ retainedBytes: 1_000 * MB })).toBe('refuse');
});

test('a threshold of zero is none', () => {
  const none = { warnBytes: 0, refuseBytes: 0 };
  expect(classifySlot(slot({ retainedBytes: 1e15 }), none)).toEqual({ state: 'ok', reasons: [] });
});

test('a limit of the server is judged by what it leaves', () => {
  expect(state({ safeWalBytes: 60, retainedBytes: 40 })).toBe('ok');
  expect(state({ safeWalBytes: 40, retainedBytes: 60 })).toBe('warn');
  expect(state({ safeWalBytes: 9, retainedBytes: 91 })).toBe('refuse');
  expect(state({ safeWalBytes: -5, retainedBytes: 100 })).toBe('refuse');
  expect(state({ walStatus: 'unreserved', safeWalBytes: -5, retainedBytes: 1 })).toBe('refuse');
  expect(state({ walStatus: 'extended' })).toBe('ok');
});

test('a slot that nobody reads, that is gone or lost, is warned of; refusing would not save it', () => {
  expect(state({ isActive: false })).toBe('warn');
  expect(classifySlot(undefined, THRESHOLDS).state).toBe('warn');
  expect(state({ walStatus: 'lost', retainedBytes: 1e12 })).toBe('warn');
  expect(state({ invalidationReason: 'wal_removed', retainedBytes: 1e12 })).toBe('warn');
});

test('reasons say what and how much, the worst first', () => {
  const { reasons } = classifySlot(slot({ isActive: false, retainedBytes: 2_048 * MB }), THRESHOLDS);
  expect(reasons).toEqual([
    'the source keeps 2.0 GB of WAL for the slot: SLOT_REFUSE_BYTES is 1000.0 MB',
    'nobody reads the slot: capture is not running',
  ]);
  expect(showBytes(1_023)).toBe('1023 bytes');
});
