import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readRowHeaders, toKafkaHeaders } from '../../../shared/kafka/row-headers.ts';
import { RowPlaceReader } from './row-place.ts';

/** As they come from Kafka: bytes. */
function asBytes(headers: Record<string, unknown>): Record<string, Buffer> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Buffer.from(String(value))]),
  );
}

const row = { exportId: 'exp_1', chunk: 3, attempt: 12, seq: 70_000, account: 'a', isLast: false };

test('a row’s place is read from bytes, run after run of exports', () => {
  const reader = new RowPlaceReader();
  for (const exportId of ['exp_1', 'exp_1', 'exp_2', 'exp_1']) {
    const { account: _, ...place } = { ...row, exportId, isLast: exportId === 'exp_2' };
    expect(reader.read(asBytes(toKafkaHeaders({ ...place, account: 'a' })))).toEqual(place);
  }
});

test('it agrees with the general reader on whatever the headers are', () => {
  const value = fc.oneof(
    fc.nat().map(String),
    fc.string(),
    fc.constantFrom('-1', '1.5', '', '12345678901234567890', ' 7'),
  );
  const headers = fc.dictionary(fc.constantFrom('export', 'chunk', 'attempt', 'seq', 'last'), value);
  const reader = new RowPlaceReader();
  fc.assert(
    fc.property(headers, (texts) => {
      const expected = readRowHeaders(asBytes(texts));
      const place = reader.read(asBytes(texts));
      if (expected === undefined) expect(place).toBeUndefined();
      else expect(expected).toMatchObject(place ?? { missing: true });
    }),
  );
});

test('headers that are missing are not a row’s', () => {
  const reader = new RowPlaceReader();
  expect(reader.read(undefined)).toBeUndefined();
  expect(reader.read(asBytes({ export: 'exp_1' }))).toBeUndefined();
});
