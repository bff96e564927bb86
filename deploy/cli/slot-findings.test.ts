import { expect, test } from 'vitest';
import type { SlotHealth } from '../../shared/catalog/slot-health.ts';
import { slotFindings } from './slot-findings.ts';

const THRESHOLDS = { warnBytes: 100, refuseBytes: 1_000 };
const WELL: SlotHealth = {
  plugin: 'pgoutput',
  isOfThisDatabase: true,
  isTemporary: false,
  isActive: true,
  walStatus: 'reserved',
  invalidationReason: null,
  lagBytes: 0,
  retainedBytes: 0,
  safeWalBytes: null,
};
const found = (fields: Partial<SlotHealth>, ageSeconds?: number) =>
  slotFindings('tandem', { ...WELL, ...fields }, THRESHOLDS, ageSeconds).join('\n');

test('a healthy slot has nothing to be told', () => {
  expect(found({}, 9)).toBe('');
});

test('each finding says what mends it', () => {
  expect(slotFindings('tandem', undefined, THRESHOLDS, 0).join()).toContain('tandem source prepare');
  expect(found({ isActive: false })).toContain('start:capture');
  expect(found({ plugin: 'wal2json' })).toContain("pg_drop_replication_slot('tandem')");
  expect(found({ isOfThisDatabase: false })).toContain('SLOT_NAME');
  expect(found({ walStatus: 'lost' })).toContain('max_slot_wal_keep_size');
  expect(found({ retainedBytes: 500, lagBytes: 400 })).toContain('more slowly');
  expect(found({ retainedBytes: 500, lagBytes: 10 })).toContain('pg_prepared_xacts');
  expect(found({ retainedBytes: 5_000, lagBytes: 5_000 })).toContain('refused');
  expect(found({}, 120)).toContain('has not moved for 120 s');
});
