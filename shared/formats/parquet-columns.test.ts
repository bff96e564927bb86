import { expect, test } from 'vitest';
import { decimalType } from './parquet-columns.ts';

test.each([
  ['numeric(10,4)', 'DECIMAL(10,4)'],
  ['numeric(38,10)', 'DECIMAL(38,10)'],
  ['numeric(1,0)', 'DECIMAL(1,0)'],
  ['numeric(3,-2)', 'DECIMAL(5,0)'],
  ['numeric(3,5)', 'DECIMAL(5,5)'],
  ['numeric(39,0)', undefined],
  ['numeric(38,-1)', undefined],
  ['numeric', undefined],
  ['public.numeric(10,4)', undefined],
])('%s is %s', (pgName, type) => {
  expect(decimalType(pgName)).toBe(type);
});
