import { expect, test } from 'vitest';
import { contentTypeOf } from './storage.ts';

test.each([
  ['invoices.jsonl', 'application/jsonl'],
  ['invoices.jsonl.gz', 'application/gzip'],
  ['manifest.json', 'application/json'],
  ['invoices.csv', 'text/csv; charset=utf-8'],
  ['assembly', 'application/octet-stream'],
  ['a.constructor', 'application/octet-stream'],
])('%s is served as %s', (name, type) => {
  expect(contentTypeOf(name)).toBe(type);
});
