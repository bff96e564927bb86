import { expect, test } from 'vitest';
import type { ColumnFact, TableFacts } from '../../../shared/catalog/table-facts.ts';
import { describeForm } from './table-forms.ts';

const ID: ColumnFact = {
  place: 1,
  name: 'id',
  typeOid: 20,
  collation: 0,
  version: '730',
  hasMissing: false,
  isGenerated: false,
};

/** As of a moment. */
const facts = (columns: readonly ColumnFact[], snapshot = '5:9:') =>
  new Map([['invoices', { oid: 16_400, snapshot, columns } as unknown as TableFacts]]);

test('tables are alike under another snapshot, and no longer once a column was altered or added', () => {
  const form = describeForm(facts([ID]));
  expect(form).toBeDefined();
  expect(describeForm(facts([ID], '6:12:'))).toBe(form);
  expect(describeForm(facts([{ ...ID, version: '731' }]))).not.toBe(form);
  expect(describeForm(facts([ID, { ...ID, place: 2, name: 'memo', typeOid: 25 }]))).not.toBe(form);
});

test('nothing is said of a table with a type that may be renamed', () => {
  expect(describeForm(facts([ID, { ...ID, place: 2, name: 'status', typeOid: 16_500 }]))).toBeUndefined();
});
