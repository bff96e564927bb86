import { expect, test } from 'vitest';
import { UnreadableRequestError } from '../stored-request.ts';
import { parseBulkRequest } from './bulk-request.ts';

const STORED =
  '{"resource":"invoices","operation":"void","params":{"a":[9007199254740993,1.10]},"filter":null,' +
  '"semantics":"live","maxFailures":5}';

test('a stored request is read as it was stored, digit for digit', () => {
  expect(JSON.stringify(parseBulkRequest(STORED))).toBe(STORED);
  const filtered = STORED.replace('"filter":null', '"filter":{"status":{"eq":"draft"}}');
  expect(JSON.stringify(parseBulkRequest(filtered))).toBe(filtered);
});

test('a number of a filter is the double that was sent, however the store spells it', () => {
  const filter = '{"rate":{"lt":0.0000005},"or":[{"rate":{"in":[1.50,2]}}]}';
  const { filter: read } = parseBulkRequest(STORED.replace('"filter":null', `"filter":${filter}`));
  expect(read).toEqual({ rate: { lt: 5e-7 }, or: [{ rate: { in: [1.5, 2] } }] });
});

test('what is no request is unreadable', () => {
  for (const stored of ['{}', 'null', STORED.replace('live', 'later'), STORED.replace(':5', ':-1')]) {
    expect(() => parseBulkRequest(stored)).toThrow(UnreadableRequestError);
  }
});
