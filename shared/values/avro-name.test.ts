import fc from 'fast-check';
import { expect, test } from 'vitest';
import { avroFieldNames, avroName, changeRecordNames, rowRecordNames } from './avro-name.ts';

test('a name that Avro allows stays', () => {
  expect(avroName('account_id')).toBe('account_id');
});

test('other characters are spelled out, the same way whatever stands beside them', () => {
  expect(avroName('total.€')).toBe('total_x2e__x20ac_');
  expect(avroName('2nd')).toBe('_2nd');
  expect(avroName('😀')).toBe('_x1f600_');
});

test('a column that already has the spelled-out name keeps it', () => {
  expect(avroFieldNames(['a.b', 'a_x2e_b'])).toEqual(['a_x2e_b_2', 'a_x2e_b']);
});

test('field names are valid and unique for any columns', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, unit: 'grapheme' }), { maxLength: 20 }),
      (columns) => {
        const names = avroFieldNames(columns);
        expect(new Set(names).size).toBe(columns.length);
        for (const name of names) expect(name).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/);
      },
    ),
  );
});

test('the records of a resource share a namespace', () => {
  expect(rowRecordNames('tandem', 'line-items')).toEqual({
    namespace: 'tandem.line_x2d_items',
    record: 'Row',
  });
  expect(changeRecordNames('tandem', 'invoices')).toEqual({ namespace: 'tandem.invoices', record: 'Change' });
});
