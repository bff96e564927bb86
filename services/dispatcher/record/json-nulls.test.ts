import { expect, test } from 'vitest';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import type { RowTexts } from '../../../shared/domain/row-shape.ts';
import { createJsonNulls } from './json-nulls.ts';

const jsonNulls = createJsonNulls({
  resource: 'notes',
  columns: [
    { name: 'word', type: { kind: 'string', pgName: 'text' }, isKey: true },
    { name: 'doc', type: { kind: 'json', pgName: 'jsonb' }, isKey: false },
  ],
});
const of = (before: RowTexts | null, after: RowTexts | null) =>
  jsonNulls({ before, after } as unknown as DecodedChange);

test('a JSON null is named where it stands, and nothing else is', () => {
  expect(of(null, ['null', null])).toBe('{}');
  expect(of(null, ['a', 'null'])).toBe('{"data":["doc"],"previous":[]}');
  expect(of(['a', 'null'], ['a', '{}'])).toBe('{"data":[],"previous":["doc"]}');
  expect(of(['a', 'null'], null)).toBe('{"data":["doc"],"previous":[]}');
  expect(of(['a', '"null"'], ['a', '[null]'])).toBe('{}');
});
