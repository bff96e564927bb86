import { expect, test } from 'vitest';
import type { ColumnDescription } from '../../../shared/catalog/describe-table.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { resource } from '../../../test/support/resource.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';
import { fitRelation } from './fit-relation.ts';

const RESOURCE = resource('items', { hide: ['secret'] });

const relation = (...names: string[]): RelationMessage => ({
  kind: 'relation',
  id: 1,
  schema: 'app',
  name: 'items',
  columns: names.map((name) => ({ name, typeOid: 25, typeModifier: -1, isInIdentity: true })),
});
const columns = (...names: string[]): ColumnDescription[] =>
  names.map((name) => ({
    name,
    typeOid: 25,
    typeModifier: -1,
    typeName: 'text',
    baseTypeOid: 25,
    isNotNull: false,
    isGenerated: false,
  }));
const namesOf = ({ columns: all }: RelationMessage) => all.map(({ name }) => name);
const KNOWN = new Set(['id', 'account_id', 'body']);

test('a column that was added is let through while all hidden ones are there', () => {
  const added = relation('id', 'account_id', 'secret', 'body', 'more');
  expect(fitRelation(RESOURCE, added, [], KNOWN)).toBe(added);
});

test('a hidden column under another name does not leave: the feed stops and says which it may be', () => {
  const renamed = relation('id', 'account_id', 'notes', 'body');
  const fit = () => fitRelation(RESOURCE, renamed, columns('id', 'account_id', 'notes', 'body'), KNOWN);
  expect(fit).toThrow(SetupError);
  expect(fit).toThrow(/app\.items has lost the column secret, .* and has the new column notes/);
});

test('a hidden column that was dropped holds up nothing', () => {
  const dropped = relation('id', 'account_id', 'body');
  expect(fitRelation(RESOURCE, dropped, columns('id', 'account_id', 'body'), KNOWN)).toBe(dropped);
});

test('rows from before a rename get through under the names that the adapted catalog has', () => {
  const before = relation('id', 'acct', 'private', 'body');
  const now = columns('id', 'account_id', 'secret', 'body');
  expect(namesOf(fitRelation(RESOURCE, before, now, KNOWN))).toEqual(['id', 'account_id', 'secret', 'body']);
});

test('a table that differs in more than names is not taken for today’s', () => {
  const before = relation('id', 'acct', 'secret', 'body');
  const now = columns('id', 'account_id', 'secret', 'body', 'more');
  expect(fitRelation(RESOURCE, before, now, KNOWN)).toBe(before);
});

const EXPOSING = resource('items', { expose: ['id', 'account_id', 'body'] });

test('what is not exposed may come, go and be renamed without holding up anything', () => {
  for (const names of [['secret'], ['inner'], ['more', 'secret'], []]) {
    const changed = relation('id', 'account_id', 'body', ...names);
    expect(fitRelation(EXPOSING, changed, [], KNOWN)).toBe(changed);
  }
});

test('an exposed column under another name is asked for, as it would be missing from what customers get', () => {
  const renamed = relation('id', 'account_id', 'text');
  const now = columns('id', 'account_id', 'text');
  expect(() => fitRelation(EXPOSING, renamed, now, KNOWN)).toThrow(
    /lost the column body, .* exposes, .* new column text/,
  );
  const adapted = resource('items', { expose: ['id', 'account_id', 'text'] });
  expect(namesOf(fitRelation(adapted, relation('id', 'account_id', 'body'), now, KNOWN))).toContain('text');
});

test('a published column under another name waits for the catalog, and is taken under the name that it then has', () => {
  const published = (column: string) =>
    resource('items', {
      fields: [
        { name: 'id', column: 'id' },
        { name: 'text', column },
      ],
    });
  const renamed = relation('id', 'account_id', 'content');
  expect(() =>
    fitRelation(published('body'), renamed, columns('id', 'account_id', 'content'), KNOWN),
  ).toThrow(
    /lost the column body, which items publishes, and has the new column content: put the column's new name under fields/,
  );
  const before = relation('id', 'account_id', 'body');
  const fitted = fitRelation(published('content'), before, columns('id', 'account_id', 'content'), KNOWN);
  expect(namesOf(fitted)).toEqual(['id', 'account_id', 'content']);
});
