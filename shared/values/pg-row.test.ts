import { expect, test } from 'vitest';
import { dataRow } from '../../test/support/data-row.ts';
import { PgRow } from './pg-row.ts';

test('a row’s texts are found in the bytes around it', () => {
  const row = new PgRow();
  const body = dataRow(['42', null, '', 'Zoë 🧾']);
  row.read(Buffer.concat([Buffer.from('before'), body, Buffer.from('after')]), 6, 6 + body.length);
  expect(row.texts()).toEqual(['42', null, '', 'Zoë 🧾']);
});

test('one object serves for narrow rows and wide ones', () => {
  const row = new PgRow();
  const wide = Array.from({ length: 1_600 }, (_, index) => (index % 3 === 0 ? null : String(index)));
  for (const texts of [['1'], wide, [null]]) {
    const body = dataRow(texts);
    row.read(body, 0, body.length);
    expect(row.texts()).toEqual(texts);
  }
  expect(() => row.text(1)).toThrow(RangeError);
});

test('a row that is not as long as it says is refused', () => {
  const body = dataRow(['42', 'x']);
  expect(() => new PgRow().read(body, 0, body.length - 1)).toThrow();
  expect(() => new PgRow().read(Buffer.concat([body, Buffer.alloc(1)]), 0, body.length + 1)).toThrow();
});
