import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseExactJson } from '../../../shared/domain/exact-json.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { createJsonScan, MAX_JSON_DEPTH, requireDistinctMembers } from './json-scan.ts';

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** The text in pieces of a few bytes, which tests each rule across chunks. */
const scan = (text: string, maxValues = 10_000) => {
  const bytes = Buffer.from(text);
  const looked = createJsonScan(maxValues);
  for (let at = 0; at < bytes.length; at += 7) looked.push(bytes.subarray(at, at + 7));
  return looked;
};

const faultOf = (text: string, maxValues?: number) => {
  try {
    scan(text, maxValues);
    return undefined;
  } catch (error) {
    return error instanceof AppError ? error.errors : error;
  }
};

test('a body at the depth limit passes, a deeper one is refused with its pointer', () => {
  scan(nested(MAX_JSON_DEPTH));
  expect(faultOf(nested(MAX_JSON_DEPTH + 1))).toEqual([
    { pointer: '/0'.repeat(MAX_JSON_DEPTH), detail: 'may be nested at most 64 deep' },
  ]);
  const filter = `{"all":[1,2],"filter":{"a/b":{"eq":"x,]"},"and" : [{},${nested(MAX_JSON_DEPTH)}]}}`;
  expect(faultOf(filter)).toMatchObject([{ pointer: expect.stringMatching(/^\/filter\/and\/1\/0\/0/) }]);
});

test('neither brackets side by side nor brackets in a text count as depth', () => {
  scan(`[${Array.from({ length: 1_000 }, () => '{"a":[]}').join(',')}]`);
  scan(JSON.stringify({ a: '['.repeat(100), ['"[\\'.repeat(100)]: '\\"'.repeat(100) }));
});

test('values are counted, not bytes', () => {
  const list = (count: number) => `[${Array.from({ length: count }, () => 0).join(',')}]`;
  expect(faultOf(list(98), 100)).toBeUndefined();
  expect(faultOf(list(200), 100)).toEqual([{ pointer: '', detail: 'the body may hold at most 100 values' }]);
  expect(faultOf(JSON.stringify(['a,b,c,d,[{'.repeat(100)]), 10)).toBeUndefined();
});

test('a number of very many digits is refused before it is read', () => {
  expect(faultOf(`{"a":[1,${'7'.repeat(1_001)}]}`)).toMatchObject([{ pointer: '/a/1' }]);
  expect(faultOf(`{"a":"${'7'.repeat(2_000)}"}`)).toBeUndefined();
});

test('odd numbers and escapes are reported', () => {
  for (const text of ['[-1]', '[1.5]', '[1e3]', '[1234567890123456]', '[10, 01]']) {
    expect([text, scan(text).hasOddNumbers]).toEqual([text, true]);
  }
  expect(scan('[1, 22, 123456789012345, "1.5"]').hasOddNumbers).toBe(false);
  expect(scan('["\\u0041"]').hasEscapes).toBe(true);
  expect(scan('["\\\\u0041", "u"]').hasEscapes).toBe(false);
});

const repeatedIn = (text: string, parse: (text: string) => unknown = JSON.parse) => {
  try {
    requireDistinctMembers(text, parse(text), scan(text));
    return undefined;
  } catch (error) {
    return error instanceof AppError ? error.errors?.[0]?.pointer : error;
  }
};

test.each([
  ['{"filter":{"total":{"gt":1,"lt":5}},"resource":"x","filter":{}}', '/filter'],
  ['{"a":[{"b":1},{"c":{"d" : 1.50,"\\u0064":2}}]}', '/a/1/c/d'],
  ['{"__proto__":1,"__proto__":2}', '/__proto__'],
  ['{"":0,"":0}', '/'],
])('a member that is given twice is refused with its place: %s', (text, pointer) => {
  expect(repeatedIn(text)).toBe(pointer);
  expect(repeatedIn(text, parseExactJson)).toBe(pointer);
});

test('whatever is in a body, members that are given once pass', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(repeatedIn(text)).toBeUndefined();
      expect(repeatedIn(text, parseExactJson)).toBeUndefined();
    }),
  );
});
