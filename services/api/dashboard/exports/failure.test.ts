import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { failureOf } from './failure.ts';

test('every code that the guide names is explained', () => {
  const guide = readFileSync(new URL('../../docs/guides/exports.md', import.meta.url), 'utf8');
  const [, table = ''] = guide.split('## Why an export fails');
  const codes = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, code = '']) => code),
  );
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((code) => failureOf(code) === undefined)).toEqual([]);
  expect(failureOf('of_a_later_version')).toBeUndefined();
});
