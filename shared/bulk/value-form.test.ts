import { expect, test } from 'vitest';
import { formFault, inputText, type JsonKind } from './value-form.ts';

const isTaken = (typeOid: number, text: string, kind: JsonKind = 'text') =>
  formFault({ text, kind }, typeOid) === undefined;

/** By type: what files write is taken, what only PostgreSQL would read is not. */
const CASES: readonly [string, number, readonly string[], readonly string[]][] = [
  [
    'timestamptz',
    1184,
    [
      '2026-01-01T00:00:00Z',
      '2026-01-01t00:00:00.123456+05:30',
      'infinity',
      '-infinity',
      '10000-01-01 00:00:00+00',
      '0044-03-15 00:00:00+00 BC',
    ],
    [
      '2026-01-01T00:00:00',
      '2026-01-01',
      'now',
      'yesterday',
      'epoch',
      'Infinity',
      '2026-01-01 00:00:00+00',
      '2026-01-01T24:00:00Z',
      '2026-01-01T00:00:00 Europe/Berlin',
      '20260101T000000Z',
      '',
    ],
  ],
  [
    'timestamp',
    1114,
    ['2026-01-01T00:00:00', '2026-01-01T00:00:00.5', 'infinity'],
    ['2026-01-01T00:00:00Z', '2026-01-01', 'today', '2026-01-01T00:00'],
  ],
  [
    'date',
    1082,
    ['2026-01-31', '0044-03-15 BC', 'infinity'],
    ['2026-01-31T00:00:00', 'tomorrow', 'J2451187', '1/8/1999'],
  ],
  ['time', 1083, ['09:30:00', '24:00:00'], ['now', '09:30', '9:30 PM', 'allballs']],
  ['integer', 23, ['7', '-7'], [' 7', '+7', '7.0', '0x10', '1_000', 'NaN', '']],
  [
    'numeric',
    1700,
    ['1.10', '-0.5', '1e3', 'NaN', '-Infinity'],
    ['inf', '1_000', '0x1', '1e99999', '$1', '.5'],
  ],
  ['money', 790, ['-1234.56', '5'], ['$5', '1,234.56', '5.001']],
  [
    'uuid',
    2950,
    ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
    ['{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
  ],
  ['bytea', 17, ['AP8Q', ''], ['\\x00ff10', 'AP8']],
  ['boolean', 16, ['true', 'false'], ['yes', 't', '1', 'on', 'TRUE']],
  ['daterange', 3912, ['[2026-01-01,2026-02-01)'], ['[today,2027-01-01)']],
  ['date[]', 1182, ['{2026-01-01}'], ['{now}']],
];

test.each(CASES)('%s: the form of files is taken, and no other', (_, typeOid, taken, refused) => {
  for (const text of taken) expect([text, isTaken(typeOid, text)]).toEqual([text, true]);
  for (const text of refused) expect([text, isTaken(typeOid, text)]).toEqual([text, false]);
});

test('a value is of the JSON kind that its type has', () => {
  expect(isTaken(23, '7', 'number')).toBe(true);
  expect(isTaken(16, 'true', 'boolean')).toBe(true);
  expect(isTaken(23, 'true', 'boolean')).toBe(false);
  expect(isTaken(16, '1', 'number')).toBe(false);
  expect(isTaken(25, '1', 'number')).toBe(false);
  expect(formFault({ text: '1.10', kind: 'number' }, 25, { takesAnyScalarAsText: true })).toBeUndefined();
});

test('base64 reaches PostgreSQL as the bytes it stands for', () => {
  expect(inputText('AP8Q', 17)).toBe('\\x00ff10');
  expect(inputText('AP8Q', 25)).toBe('AP8Q');
});
