import { expect, test } from 'vitest';
import { parseSnapshot } from '../../../shared/domain/snapshot.ts';
import { isInExport } from './endpoint.ts';

test('up to the seal, what the snapshot sees is in the files, whatever its position', () => {
  const handOff = { snapshot: parseSnapshot('100:110:104'), untilLsn: 500n };
  const isIn = (xid: bigint, commitLsn: bigint) => isInExport({ xid, commitLsn }, handOff);
  expect(isIn(99n, 400n)).toBe(true);
  expect(isIn(104n, 400n)).toBe(false);
  expect(isIn(105n, 500n)).toBe(true);
  expect(isIn(110n, 400n)).toBe(false);
  expect(isIn(99n, 501n)).toBe(false);
  expect(isIn(0n, 400n)).toBe(false);
  expect(isInExport({ xid: 1n, commitLsn: 1n }, undefined)).toBe(false);
});
