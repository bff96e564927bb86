import { expect, test } from 'vitest';
import { FilterError, type FilterInput, matchesEverything, parseFilter } from './bulk-filter.ts';

function pointerOf(filter: FilterInput): string {
  try {
    parseFilter(filter);
  } catch (error) {
    if (error instanceof FilterError) return error.pointer;
  }
  return 'no error';
}

function compare(column: string, by: string, text: string, kind: string) {
  const pointer = `/filter/${column}/${by}`;
  return { kind: 'compare', column, by, value: { text, kind, pointer }, pointer };
}

test('fields and operators must all hold, and groups are told apart from fields', () => {
  const filter = parseFilter({ status: { eq: 'open' }, total: { gte: 1, lt: 5 }, or: [{ a: { in: [1] } }] });
  expect(filter).toEqual({
    kind: 'group',
    by: 'and',
    nodes: [
      compare('status', 'eq', 'open', 'text'),
      compare('total', 'gte', '1', 'number'),
      compare('total', 'lt', '5', 'number'),
      {
        kind: 'group',
        by: 'or',
        nodes: [
          {
            kind: 'group',
            by: 'and',
            nodes: [
              {
                kind: 'in',
                column: 'a',
                values: [{ text: '1', kind: 'number', pointer: '/filter/or/0/a/in/0' }],
                pointer: '/filter/or/0/a/in',
              },
            ],
          },
        ],
      },
    ],
  });
});

test('what is wrong is told by its place', () => {
  expect(pointerOf({ status: 'open' })).toBe('/filter/status');
  expect(pointerOf({ status: {} })).toBe('/filter/status');
  expect(pointerOf({ status: { like: 'x' } })).toBe('/filter/status/like');
  expect(pointerOf({ status: { eq: ['x'] } })).toBe('/filter/status/eq');
  expect(pointerOf({ id: { eq: 2 ** 53 } })).toBe('/filter/id/eq');
  expect(pointerOf({ 'a/b~': { eq: null } })).toBe('/filter/a~1b~0/eq');
  expect(pointerOf({ id: { in: [] } })).toBe('/filter/id/in');
  expect(pointerOf({ id: { is_null: 'yes' } })).toBe('/filter/id/is_null');
  expect(pointerOf({ and: [] })).toBe('/filter/and');
  expect(pointerOf({ or: [{ id: { eq: 1 } }, 5] })).toBe('/filter/or/1');
});

test('depth and size are bounded', () => {
  let deep: FilterInput = { id: { eq: 1 } };
  for (let level = 0; level < 5; level += 1) deep = { and: [deep] };
  expect(pointerOf(deep)).toContain('/and/0/and/0');
  const wide = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`c${index}`, { eq: 1 }]));
  expect(pointerOf(wide)).toBe('/filter/c100/eq');
  const list = (count: number) => ({ in: Array(count).fill(1) });
  expect(pointerOf({ id: list(10_000) })).toBe('no error');
  expect(pointerOf({ id: list(10_001) })).toBe('/filter/id/in');
  expect(pointerOf({ id: list(5_001), or: [{ total: list(5_000) }] })).toBe('/filter/or/0/total/in');
  expect(pointerOf({ and: Array(101).fill({}) })).toBe('/filter/and');
  const halves = { and: Array(60).fill({}), or: Array(60).fill({}) };
  expect(pointerOf(halves)).toBe('/filter/or/40');
});

test('a filter without a condition that must hold matches everything', () => {
  for (const filter of [{}, { and: [{}, {}] }, { or: [{ id: { eq: 1 } }, {}] }]) {
    expect(matchesEverything(parseFilter(filter))).toBe(true);
  }
  for (const filter of [{ id: { eq: 1 } }, { and: [{}, { id: { eq: 1 } }] }]) {
    expect(matchesEverything(parseFilter(filter))).toBe(false);
  }
});
