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

test('tables are no longer alike once a type of their own was altered or renamed', () => {
  const of = (version: string) =>
    new Map([
      [
        'invoices',
        { oid: 16_400, columns: [ID], typeVersions: [{ oid: 16_500, version }] } as unknown as TableFacts,
      ],
    ]);
  expect(describeForm(of('730/720'))).toBe(describeForm(of('730/720')));
  expect(describeForm(of('731/720'))).not.toBe(describeForm(of('730/720')));
});
