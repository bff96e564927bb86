import { expect, test } from 'vitest';
import type { DecodedChange } from '../../../shared/domain/change.ts';
import type { RowShape } from '../../../shared/domain/row-shape.ts';
import { createRecordKey } from '../../../shared/values/record-key.ts';
import { scalarType } from '../../../shared/values/scalar-types.ts';
import { createEventJson } from './event-json.ts';

const shape: RowShape = {
  resource: 'invoices',
  columns: [
    { name: 'region', type: scalarType('text', -1), isKey: true },
    { name: 'at', type: scalarType('timestamptz', -1), isKey: true },
    { name: 'total', type: scalarType('int8', -1), isKey: false },
    { name: 'body', type: scalarType('text', -1), isKey: false },
  ],
};
const event = createEventJson(shape, ['at', 'region']);
const AT = '2026-01-02T03:04:05Z';

function change(part: Partial<DecodedChange>): DecodedChange {
  return {
    op: 'update',
    account: 'acme',
    resource: 'invoices',
    before: null,
    after: null,
    unchanged: [],
    missing: [],
    source: { lsn: 1n, commitLsn: 2n, xid: 3n, index: 0, committedAtMicros: 0n, bulkJobId: null },
    ...part,
  };
}

test('data is the row after, or the deleted row', () => {
  const row = ['eu', AT, '5', null];
  const json = `{"region":"eu","at":"${AT}","total":5,"body":null}`;
  expect(event.dataJson(change({ op: 'insert', after: row }))).toBe(json);
  expect(event.dataJson(change({ op: 'delete', before: row }))).toBe(json);
});

test('a value that is not known is left out, never null', () => {
  const updated = change({ after: ['eu', AT, '5', null], unchanged: ['body'] });
  expect(event.dataJson(updated)).toBe(`{"region":"eu","at":"${AT}","total":5}`);
  const deleted = change({ op: 'delete', before: ['eu', AT, null, null], missing: ['total', 'body'] });
  expect(event.dataJson(deleted)).toBe(`{"region":"eu","at":"${AT}"}`);
});

test('previous has what changed and nothing else', () => {
  const before = ['eu', AT, null, 'long'];
  expect(event.previousJson(change({ before, after: ['eu', AT, '5', 'longer'] }))).toBe(
    '{"total":null,"body":"long"}',
  );
  expect(event.previousJson(change({ before, after: ['eu', AT, '5', null], unchanged: ['body'] }))).toBe(
    '{"total":null}',
  );
  expect(event.previousJson(change({ before, after: before }))).toBe('{}');
});

test('previous is absent when the old row is not known as a whole', () => {
  const row = ['eu', AT, '5', 'x'];
  expect(event.previousJson(change({ after: row }))).toBeUndefined();
  expect(event.previousJson(change({ before: row, after: row, missing: ['body'] }))).toBeUndefined();
  expect(event.previousJson(change({ op: 'delete', before: row }))).toBeUndefined();
});

test('the key is an object, and the record key a list in key order', () => {
  const deleted = change({ op: 'delete', before: ['eu', AT, null, null], missing: ['total', 'body'] });
  expect(event.keyJson(deleted)).toBe(`{"region":"eu","at":"${AT}"}`);
  expect(event.recordKey(deleted)).toBe(`["${AT}","eu"]`);
});

test('a record has one key, whichever texts it is made from', () => {
  const key = createRecordKey(shape, ['at', 'region']);
  expect(key.ofPgTexts(['eu', '2026-01-02 03:04:05+00', null, null])).toBe(
    key.ofWireTexts(['eu', AT, '5', 'x']),
  );
});

test('what has no row, or no such key column, is refused', () => {
  expect(() => event.dataJson(change({ op: 'truncate' }))).toThrow(RangeError);
  expect(() => createRecordKey(shape, ['id'])).toThrow('no key column "id"');
});
