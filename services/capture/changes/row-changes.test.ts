import { expect, test } from 'vitest';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { resource } from '../../../test/support/resource.ts';
import type { RelationMessage } from '../replication/pgoutput.ts';
import { captureTable } from './captured-table.ts';
import { isMoveUnsent, resetFor, rowChanges, unknownAccounts } from './row-changes.ts';

const RESOURCE = resource('items', { hide: ['secret'] });
const TYPES = { valueType: () => ({ kind: 'string', pgName: 'text' }) as const };

function relation(identity: readonly string[]): RelationMessage {
  const columns = ['secret', 'id', 'account_id', 'body'].map((name) => ({
    name,
    typeOid: 25,
    typeModifier: -1,
    isInIdentity: identity.includes(name),
  }));
  return { kind: 'relation', id: 1, schema: 'app', name: 'items', columns };
}

const FULL = captureTable(RESOURCE, relation(['secret', 'id', 'account_id', 'body']), TYPES);
const KEY = captureTable(RESOURCE, relation(['id', 'account_id']), TYPES);
const ID_ONLY = captureTable(RESOURCE, relation(['id']), TYPES);

const update = (
  before: { kind: 'key' | 'full'; values: (string | null | undefined)[] } | null,
  after: (string | null | undefined)[],
) => ({ kind: 'update', relationId: 1, before, after }) as const;

const UNKNOWN = resetFor('record_unknown');

test('the rowType has the visible columns in order, with the key marked', () => {
  expect(FULL.rowType.columns.map(({ name, isKey }) => [name, isKey])).toEqual([
    ['id', true],
    ['account_id', false],
    ['body', false],
  ]);
});

test('a table without a column that the catalog needs is refused with its name', () => {
  const { columns, ...rest } = relation([]);
  const without = { ...rest, columns: columns.filter(({ name }) => name !== 'account_id') };
  expect(() => captureTable(RESOURCE, without, TYPES)).toThrow(SetupError);
  expect(() => captureTable(RESOURCE, without, TYPES)).toThrow(/app\.items has no column account_id/);
});

test('an insert is one change without the hidden column', () => {
  expect(rowChanges(FULL, { kind: 'insert', relationId: 1, after: ['x', '1', 'acme', 'b'] })).toEqual([
    { op: 'insert', account: 'acme', before: null, after: ['1', 'acme', 'b'], unchanged: [], missing: [] },
  ]);
});

test('a value that was not sent again is taken from the full old row', () => {
  const before = { kind: 'full', values: ['x', '1', 'acme', 'large'] } as const;
  expect(
    rowChanges(FULL, update({ ...before, values: [...before.values] }, ['y', '1', 'acme', undefined])),
  ).toEqual([
    {
      op: 'update',
      account: 'acme',
      before: ['1', 'acme', 'large'],
      after: ['1', 'acme', 'large'],
      unchanged: [],
      missing: [],
    },
  ]);
});

test('a value that was not sent again and is nowhere else is named', () => {
  expect(rowChanges(KEY, update(null, ['y', '1', 'acme', undefined]))).toMatchObject([
    { op: 'update', before: null, after: ['1', 'acme', null], unchanged: ['body'] },
  ]);
});

test('a new key is a delete and an insert, with the large value carried over from the full old row', () => {
  const message = update({ kind: 'full', values: [null, '1', 'acme', 'large'] }, [
    null,
    '2',
    'acme',
    undefined,
  ]);
  expect(rowChanges(FULL, message)).toMatchObject([
    { op: 'delete', account: 'acme', before: ['1', 'acme', 'large'], after: null },
    { op: 'insert', account: 'acme', before: null, after: ['2', 'acme', 'large'], unchanged: [] },
  ]);
});

test('a new account is a delete for the old and an insert for the new, and neither holds the other’s', () => {
  const message = update({ kind: 'key', values: [null, '1', 'acme', null] }, [null, '1', 'globex', 'b']);
  expect(rowChanges(KEY, message)).toEqual([
    {
      op: 'delete',
      account: 'acme',
      before: ['1', 'acme', null],
      after: null,
      unchanged: [],
      missing: ['body'],
    },
    {
      op: 'insert',
      account: 'globex',
      before: null,
      after: ['1', 'globex', 'b'],
      unchanged: [],
      missing: [],
    },
  ]);
});

test('another spelling of the account is no other account, but another spelling of the key is another record', () => {
  const types = { valueType: () => ({ kind: 'string', pgName: 'numeric' }) as const };
  const table = captureTable(RESOURCE, relation(['secret', 'id', 'account_id', 'body']), types);
  const before = { kind: 'full', values: ['x', '1', '77', 'b'] } as const;
  expect(
    rowChanges(table, update({ ...before, values: [...before.values] }, ['x', '1', '77.0', 'b'])),
  ).toEqual([
    {
      op: 'update',
      account: '77',
      before: ['1', '77', 'b'],
      after: ['1', '77.0', 'b'],
      unchanged: [],
      missing: [],
    },
  ]);
  expect(
    rowChanges(table, update({ ...before, values: [...before.values] }, ['x', '1.0', '77', 'b'])),
  ).toMatchObject([
    { op: 'delete', account: '77', before: ['1', '77', 'b'] },
    { op: 'insert', account: '77', after: ['1.0', '77', 'b'] },
  ]);
});

test('a spelling that only PostgreSQL can judge is asked for before the message becomes changes', () => {
  const types = { valueType: () => ({ kind: 'string', pgName: 'public.citext' }) as const };
  const table = captureTable(RESOURCE, relation(['id', 'account_id']), types);
  expect(unknownAccounts(table, { kind: 'insert', relationId: 1, after: ['x', '1', 'acme', 'b'] })).toEqual(
    [],
  );
  const message = update({ kind: 'key', values: [null, '1', 'ACME', null] }, ['x', '1', 'Äcme', 'b']);
  expect(unknownAccounts(table, message)).toEqual(['ACME', 'Äcme']);
  expect(() => rowChanges(table, message)).toThrow('was not learned');
});

test('a delete that does not say whose row it was resets the feed of the resource', () => {
  const before = { kind: 'key', values: [null, '1', null, null] } as const;
  expect(rowChanges(ID_ONLY, { kind: 'delete', relationId: 1, before })).toEqual([UNKNOWN]);
  expect(
    rowChanges(ID_ONLY, update({ kind: 'key', values: [null, '1', null, null] }, [null, '2', 'acme', 'b'])),
  ).toMatchObject([UNKNOWN, { op: 'insert', after: ['2', 'acme', 'b'] }]);
});

test('a row without an account is nobody’s', () => {
  expect(rowChanges(FULL, { kind: 'insert', relationId: 1, after: ['x', '1', null, 'b'] })).toMatchObject([
    { account: '' },
  ]);
});

const WEAK_OLD = { kind: 'full' as const, values: [null, '1', null, null] };

test('a whole row that is empty but for its key comes from a partition that is not FULL, and says not whose it was', () => {
  const deletion = { kind: 'delete', relationId: 1, before: WEAK_OLD } as const;
  expect(rowChanges(FULL, deletion)).toEqual([UNKNOWN]);
  expect(rowChanges(FULL, update(WEAK_OLD, ['x', '2', 'acme', undefined]))).toMatchObject([
    UNKNOWN,
    { op: 'insert', after: ['2', 'acme', null], unchanged: ['body'] },
  ]);
});

test('a row of nothing but its key is whole', () => {
  const keyOnly = captureTable(
    { ...RESOURCE, key: ['account_id', 'id', 'body'] },
    relation(['secret', 'id', 'account_id', 'body']),
    TYPES,
  );
  const before = { kind: 'full', values: [null, '1', 'acme', 'b'] } as const;
  expect(rowChanges(keyOnly, { kind: 'delete', relationId: 1, before })).toMatchObject([
    { op: 'delete', account: 'acme' },
  ]);
});

/** Drafts are told by a column that does not leave itself. */
const NO_DRAFTS = resource('items', { hide: ['secret'], where: parseFilter({ secret: { ne: 'draft' } }) });
const filtered = (...identity: string[]) => captureTable(NO_DRAFTS, relation(identity), TYPES);
const full = (...values: string[]) => ({ kind: 'full' as const, values });

test('what comes to fit is an insert, what no longer fits a delete, and what never did is nothing', () => {
  const table = filtered('secret', 'id', 'account_id', 'body');
  const [draft, open] = [
    ['draft', '1', 'acme', 'b'],
    ['open', '1', 'acme', 'c'],
  ] as const;
  const opsOf = (before: readonly string[], after: readonly string[]) =>
    rowChanges(table, update(full(...before), [...after])).map(({ op }) => op);
  expect(opsOf(draft, open)).toEqual(['insert']);
  expect(opsOf(open, draft)).toEqual(['delete']);
  expect(opsOf(draft, draft)).toEqual([]);
  expect(opsOf(open, open)).toEqual(['update']);
  // To another account: each side is told what leaves.
  expect(opsOf(draft, ['open', '1', 'other', 'c'])).toEqual(['insert']);
  expect(opsOf(open, ['draft', '1', 'other', 'c'])).toEqual(['delete']);
  expect(rowChanges(table, { kind: 'insert', relationId: 1, after: [...draft] })).toEqual([]);
  expect(rowChanges(table, { kind: 'delete', relationId: 1, before: full(...draft) })).toEqual([]);
  expect(rowChanges(table, { kind: 'delete', relationId: 1, before: full(...open) })).toMatchObject([
    { op: 'delete', before: ['1', 'acme', 'c'] },
  ]);
});

test('of a version that no longer fits nothing is told but what it was before', () => {
  const table = filtered('secret', 'id', 'account_id', 'body');
  const changes = rowChanges(table, update(full('open', '1', 'acme', 'old'), ['draft', '1', 'acme', 'new']));
  expect(JSON.stringify(changes)).not.toContain('new');
});

test('under a key identity with the column of the filter, an update without an old version tells of what leaves', () => {
  const table = filtered('secret', 'id', 'account_id');
  expect(table.isIdentitySufficient).toBe(true);
  expect(rowChanges(table, update(null, ['draft', '1', 'acme', 'b']))).toEqual([]);
  expect(rowChanges(table, update(null, ['open', '1', 'acme', 'b']))).toMatchObject([{ op: 'update' }]);
  const before = { kind: 'key' as const, values: ['open', '1', 'acme', null] };
  expect(rowChanges(table, update(before, ['draft', '1', 'acme', undefined]))).toMatchObject([
    { op: 'delete', before: ['1', 'acme', null], missing: ['body'] },
  ]);
});

test('a value that was read later says so, in the record under its new key and in one that was restored', () => {
  const filled = { places: [3], lsn: 9n };
  const told = { columns: ['body'], lsn: 9n };
  const before = { kind: 'key' as const, values: [null, '1', 'acme', null] };
  const [gone, moved] = rowChanges(KEY, { ...update(before, ['x', '2', 'acme', 'later']), filled });
  expect(gone).not.toHaveProperty('filled');
  expect(moved).toMatchObject({ op: 'insert', after: ['2', 'acme', 'later'], filled: told });
  expect(rowChanges(KEY, { ...update(null, ['x', '1', 'acme', 'later']), filled })).toMatchObject([
    { op: 'update', after: ['1', 'acme', 'later'], unchanged: [], filled: told },
  ]);
});

test('whether a record leaves is not decided by a value that was read later', () => {
  const table = filtered('id', 'account_id');
  const later = { ...update(null, ['open', '1', 'acme', 'b']), filled: { places: [0], lsn: 9n } };
  expect(rowChanges(table, later)).toEqual([UNKNOWN]);
});

test('where the old version does not say whether it left, no draft is told of but by a delete, and a delete is a reset', () => {
  const table = filtered('id', 'account_id');
  expect(table.isIdentitySufficient).toBe(false);
  expect(rowChanges(table, update(null, ['draft', '1', 'acme', 'b']))).toEqual([
    expect.objectContaining({ op: 'delete', before: ['1', 'acme', null], missing: ['body'] }),
  ]);
  expect(rowChanges(table, update(null, [undefined, '1', 'acme', 'b']))).toEqual([UNKNOWN]);
  const before = { kind: 'key' as const, values: [null, '1', 'acme', null] };
  expect(rowChanges(table, { kind: 'delete', relationId: 1, before })).toEqual([UNKNOWN]);
});

/** Some partition's identity is `id` alone. */
const withUnsent = (table: ReturnType<typeof captureTable>) => ({
  ...table,
  unsentPlaces: new Set([0, 2, 3]),
});

test('what a partition did not send is unknown, and not null', () => {
  const gone = (kind: 'key' | 'full') =>
    ({ kind: 'delete', relationId: 1, before: { kind, values: [null, '1', null, null] } }) as const;
  expect(rowChanges(withUnsent(KEY), gone('key'))).toEqual([UNKNOWN]);
  expect(rowChanges(withUnsent(FULL), gone('full'))).toEqual([UNKNOWN]);

  const ofKey = withUnsent(
    captureTable(
      { ...NO_DRAFTS, key: ['account_id', 'id'] },
      relation(['secret', 'id', 'account_id', 'body']),
      TYPES,
    ),
  );
  // The account is in the key. Whether it was published is unknown, and so it is told.
  expect(
    rowChanges(ofKey, {
      kind: 'delete',
      relationId: 1,
      before: { kind: 'full', values: [null, '1', 'acme', null] },
    }),
  ).toMatchObject([{ op: 'delete', account: 'acme', before: ['1', 'acme', null], missing: ['body'] }]);
});

test('an update without an old version may have moved a row only where a partition may not send what decides it', () => {
  const silent = update(null, ['x', '1', 'other', 'b']);
  expect(isMoveUnsent(FULL, silent)).toBe(false);
  expect(isMoveUnsent(withUnsent(FULL), silent)).toBe(true);
  expect(isMoveUnsent({ ...FULL, unsentPlaces: new Set([3]) }, silent)).toBe(false);
  expect(
    isMoveUnsent(
      withUnsent(FULL),
      update({ kind: 'full', values: ['x', '1', 'acme', 'b'] }, ['x', '1', 'other', 'b']),
    ),
  ).toBe(false);
});
