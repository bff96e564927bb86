import { expect, test } from 'vitest';
import { parseSnapshot } from '../../../shared/domain/snapshot.ts';
import { isInExport, isTypeWanted } from './event-filter.ts';

test('a pattern means all, all of one kind, or one', () => {
  expect(isTypeWanted(['*'], 'invoice.created', 'invoice')).toBe(true);
  expect(isTypeWanted(['invoice.*'], 'invoice.created', 'invoice')).toBe(true);
  expect(isTypeWanted(['invoice.*'], 'invoice_item.created', 'invoice_item')).toBe(false);
  expect(isTypeWanted(['invoice.created'], 'invoice.created', 'invoice')).toBe(true);
  expect(isTypeWanted(['invoice.created', 'customer.*'], 'invoice.deleted', 'invoice')).toBe(false);
  expect(isTypeWanted([], 'invoice.created', 'invoice')).toBe(false);
});

test('a reset reaches whoever gets anything of its resource', () => {
  expect(isTypeWanted(['invoice.created'], 'feed.reset', 'invoice')).toBe(true);
  expect(isTypeWanted(['customer.*'], 'feed.reset', 'invoice')).toBe(false);
  expect(isTypeWanted(['*'], 'feed.reset', undefined)).toBe(true);
});

test('up to the seal, what the snapshot sees is in the files, whatever its position', () => {
  const handOff = { snapshot: parseSnapshot('100:110:104'), untilLsn: 500n };
  const isIn = (xid: bigint, commitLsn: bigint) => isInExport({ xid, commitLsn }, handOff);
  expect(isIn(99n, 400n)).toBe(true);
  expect(isIn(104n, 400n)).toBe(false);
  expect(isIn(105n, 500n)).toBe(true);
  expect(isIn(110n, 400n)).toBe(false);
  expect(isIn(99n, 501n)).toBe(false);
  expect(isInExport({ xid: 1n, commitLsn: 1n }, undefined)).toBe(false);
});
