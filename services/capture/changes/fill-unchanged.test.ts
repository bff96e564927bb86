import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { resource } from '../../../test/support/resource.ts';
import type { CapturedTable } from './captured-table.ts';
import { fillUnchanged, lacksValues, type UpdateMessage } from './fill-unchanged.ts';

const RESOURCE = resource('lines', { key: ['account_id', 'id'], hide: ['secret'] });
const column = (name: string, isKey: boolean) =>
  ({ name, isKey, type: { kind: 'string', pgName: 'text' } }) as const;
/** In the tuple a hidden column comes first. */
const TABLE: CapturedTable = {
  rowType: {
    resource: 'lines',
    columns: [column('account_id', true), column('id', true), column('bi"g', false)],
  },
  tuplePlaces: [1, 2, 3],
  keyPlaces: [0, 1],
  ownerPlaces: [0],
  owner: { kind: 'column', accountText: (text) => text },
  isInIdentity: [true, true, false],
  isIdentitySufficient: true,
};

const moved = (after: UpdateMessage['after']): UpdateMessage => ({
  kind: 'update',
  relationId: 1,
  before: { kind: 'key', values: [null, 'acme', '1', null] },
  after,
});

function sourceOf(answer: () => { rows: unknown[] }) {
  const asked: { text: string; values: unknown }[] = [];
  const query = async (text: string, values: unknown) => {
    asked.push({ text, values });
    return answer();
  };
  return { asked, source: { query } as unknown as Queryable };
}

test('only a row that moves to another key, under a key identity, may lack values', () => {
  const lacks = (message: UpdateMessage) => lacksValues(message, undefined);
  expect(lacks(moved([null, 'acme', '2', undefined]))).toBe(true);
  expect(lacks(moved([null, 'acme', '2', 'b']))).toBe(false);
  expect(lacks({ ...moved([null, 'acme', '1', undefined]), before: null })).toBe(false);
  const full = { kind: 'full', values: [null, 'acme', '1', 'b'] } as const;
  expect(lacks({ ...moved([null, 'acme', '2', undefined]), before: full })).toBe(false);
});

test('and one that may have been restored, where no old version says that it was deleted', () => {
  const living = { ...moved([null, 'acme', '1', undefined]), before: null };
  const deleted = { ...moved(['2026-01-01', 'acme', '1', undefined]), before: null };
  expect(lacksValues(living, 0)).toBe(true);
  expect(lacksValues(deleted, 0)).toBe(false);
});

test('what was not sent is read from the row of the new key', async () => {
  const { asked, source } = sourceOf(() => ({ rows: [{ v0: 'large' }] }));
  const message = moved([null, 'acme', '2', undefined]);
  expect((await fillUnchanged(source, RESOURCE, TABLE, message)).after).toEqual([null, 'acme', '2', 'large']);
  expect(asked).toEqual([
    {
      text: 'select "bi""g" as v0 from "app"."lines" where "account_id" = $1 and "id" = $2',
      values: ['acme', '2'],
    },
  ]);
});

test('a key column that was not sent again is taken from the old version, and not asked for', async () => {
  const { asked, source } = sourceOf(() => ({ rows: [{ v0: 'large' }] }));
  const message = moved([null, 'globex', undefined, undefined]);
  const { after } = await fillUnchanged(source, RESOURCE, TABLE, message);
  expect(after).toEqual([null, 'globex', undefined, 'large']);
  expect(asked.map(({ values }) => values)).toEqual([['globex', '1']]);
});

test('a hidden value is not asked for', async () => {
  const { asked, source } = sourceOf(() => ({ rows: [] }));
  const message = moved([undefined, 'acme', '2', 'b']);
  expect(await fillUnchanged(source, RESOURCE, TABLE, message)).toBe(message);
  expect(asked).toEqual([]);
});

test('a row that is gone, and a table that was altered since, leave the message as it is', async () => {
  const message = moved([null, 'acme', '2', undefined]);
  const gone = sourceOf(() => ({ rows: [] }));
  expect(await fillUnchanged(gone.source, RESOURCE, TABLE, message)).toBe(message);
  const altered = sourceOf(() => {
    throw Object.assign(new DatabaseError('no such column', 1, 'error'), { code: '42703' });
  });
  expect(await fillUnchanged(altered.source, RESOURCE, TABLE, message)).toBe(message);
  const down = sourceOf(() => {
    throw new Error('the source does not answer');
  });
  await expect(fillUnchanged(down.source, RESOURCE, TABLE, message)).rejects.toThrow('does not answer');
});

test('a row that has gone on to another account, or is kept back now, shows nothing of what it has there', async () => {
  const keyedById = { ...TABLE, keyPlaces: [TABLE.keyPlaces[1] ?? 0] };
  const { source, asked } = sourceOf(() => ({ rows: [] }));
  const where = parseFilter({ secret: { ne: 'draft' } });
  const message = moved([null, 'globex', '1', undefined]);
  expect(await fillUnchanged(source, { ...RESOURCE, where }, keyedById, message)).toBe(message);
  expect(asked).toEqual([
    {
      text: 'select "bi""g" as v0 from "app"."lines" where "id" = $1 and "account_id" = $2 and ("secret" <> $3)',
      values: ['1', 'globex', 'draft'],
    },
  ]);
});
