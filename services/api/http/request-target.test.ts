import { expect, test } from 'vitest';
import { AppError } from '../../../shared/runtime/errors.ts';
import { readQuery, readTarget } from './request-target.ts';

const codeOf = (work: () => unknown) => {
  try {
    work();
    return 'taken';
  } catch (error) {
    return error instanceof AppError ? error.code : error;
  }
};

test('the target is split at its first question mark, and a public prefix is removed', () => {
  expect(readTarget('/exports?a=b?c', '')).toEqual({ path: '/exports', querystring: 'a=b?c' });
  expect(readTarget('http://host:1/exports?x', '')).toEqual({ path: '/exports', querystring: 'x' });
  expect(readTarget('/tandem/v1/exports', '/tandem/v1').path).toBe('/exports');
  expect(readTarget('/exports', '/tandem/v1').path).toBe('/exports');
  expect(readTarget('/tandem/v10/exports', '/tandem/v1').path).toBe('/tandem/v10/exports');
});

test.each([
  ['NUL', '/exports/%00'],
  ['a broken escape', '/exports/%zz'],
  ['an overlong slash', '/exports/%c0%af'],
  ['half of a surrogate pair', '/exports/%ed%a0%80'],
  ['bytes beyond ASCII', '/exports/\u00fc'],
  ['no path', 'http://[::'],
  ['an asterisk', '*'],
  ['a fragment', '/files/exports/a/b?expires=1&signature=c#d'],
  ['a long path', `/${'a'.repeat(2_048)}`],
  ['a long query', `/?${'a'.repeat(8_193)}`],
  ['many parameters', `/healthz?${'a&'.repeat(60)}`],
])('%s in the target is refused', (_, url) => {
  expect(codeOf(() => readTarget(url, ''))).toBe('malformed');
});

test('a query gives each parameter once, decoded', () => {
  expect(readQuery('limit=5&&cursor=a%2Bb+c&status')).toEqual({ limit: '5', cursor: 'a+b c', status: '' });
  expect(codeOf(() => readQuery('a=1&a=2'))).toBe('invalid');
  for (const query of ['a=%00', '%ff=1', 'a=%', 'a=%ed%bf%bf']) {
    expect(codeOf(() => readQuery(query))).toBe('malformed');
  }
  expect(Object.keys(readQuery('__proto__=x'))).toEqual(['__proto__']);
});
