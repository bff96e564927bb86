import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { resource } from '../../../test/support/resource.ts';
import type { CapturedTable } from './captured-table.ts';
import { CommitStalledError, fillUnchanged, lacksValues, type UpdateMessage } from './fill-unchanged.ts';

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

const XID = 700n;

/** The statement's row, under a snapshot that sees the transaction: of no record, and of one. */
const GONE = { is_there: null, is_visible: 'true', lsn: '0/FF' };
const found = (big: string) => ({ is_there: 'true', v0: big, is_visible: 'true', lsn: '0/FF' });

function sourceOf(...answers: (object | Error)[]) {
  const asked: { text: string; values: unknown }[] = [];
  const query = async (text: string, values: unknown) => {
    asked.push({ text, values });
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    if (answer instanceof Error) throw answer;
    return { rows: [answer] };
  };
  let pauseCount = 0;
  const source = { query } as unknown as Queryable;
  const pause = async () => {
    pauseCount += 1;
  };
  const fill = (message: UpdateMessage, of = RESOURCE, table = TABLE) =>
    fillUnchanged(of, table, message, { source, xid: XID, pause });
  return { asked, fill, pauseCount: () => pauseCount };
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

test('what was not sent is read from the row of the new key, with the position that it may be as late as', async () => {
  const { asked, fill } = sourceOf(found('large'));
  const message = moved([null, 'acme', '2', undefined]);
  expect(await fill(message)).toEqual({
    ...message,
    after: [null, 'acme', '2', 'large'],
    filled: { places: [3], lsn: 0xffn },
  });
  expect(asked).toHaveLength(1);
  expect(asked[0]?.text).toContain('end as v0 from "app"."lines" where "account_id" = $1 and "id" = $2)');
  expect(asked[0]?.values).toEqual(['acme', '2', '700']);
});

test('a value that is too large for a text is unreadable, as one of the stream is', async () => {
  const tooLarge = Object.assign(new DatabaseError('invalid memory alloc request size', 1, 'error'), {
    code: 'XX000',
    file: 'mcxt.c',
  });
  for (const answer of [{ ...found(''), v0: null, is_large: 'true' }, tooLarge]) {
    const message = moved([null, 'acme', '2', undefined]);
    expect(await sourceOf(answer).fill(message)).toEqual({
      ...message,
      after: [null, 'acme', '2', ''],
      unreadable: { places: [3], reason: expect.stringContaining('more than') },
    });
  }
  const other = Object.assign(new DatabaseError('cache lookup failed', 1, 'error'), {
    code: 'XX000',
    file: 'lsyscache.c',
  });
  await expect(sourceOf(other).fill(moved([null, 'acme', '2', undefined]))).rejects.toThrow('cache lookup');
});

test('a key column that was not sent again is taken from the old version, and not asked for', async () => {
  const { asked, fill } = sourceOf(found('large'));
  const { after } = await fill(moved([null, 'globex', undefined, undefined]));
  expect(after).toEqual([null, 'globex', undefined, 'large']);
  expect(asked.map(({ values }) => values)).toEqual([['globex', '1', '700']]);
});

test('a hidden value is not asked for', async () => {
  const { asked, fill } = sourceOf(GONE);
  const message = moved([undefined, 'acme', '2', 'b']);
  expect(await fill(message)).toBe(message);
  expect(asked).toEqual([]);
});

test('nothing is taken from a row until the change is visible: another may have had the key before', async () => {
  const early = { ...found('of another'), is_visible: 'false', lsn: null };
  const { fill, pauseCount } = sourceOf(early, early, found('its own'));
  expect((await fill(moved([null, 'acme', '2', undefined]))).after[3]).toBe('its own');
  expect(pauseCount()).toBe(2);
});

test('a change that stays invisible ends the session, and the feed begins again before it', async () => {
  const { fill } = sourceOf({ is_visible: 'false', lsn: null });
  await expect(fill(moved([null, 'acme', '2', undefined]))).rejects.toThrow(CommitStalledError);
});

test('a row that is gone, and a table that was altered since, leave the message as it is', async () => {
  const message = moved([null, 'acme', '2', undefined]);
  expect(await sourceOf(GONE).fill(message)).toBe(message);
  const altered = Object.assign(new DatabaseError('no such column', 1, 'error'), { code: '42703' });
  expect(await sourceOf(altered).fill(message)).toBe(message);
  await expect(sourceOf(new Error('the source does not answer')).fill(message)).rejects.toThrow(
    'does not answer',
  );
});

test('a row that has gone on to another account, or is kept back now, shows nothing of what it has there', async () => {
  const keyedById = { ...TABLE, keyPlaces: [TABLE.keyPlaces[1] ?? 0] };
  const { fill, asked } = sourceOf(GONE);
  const where = parseFilter({ secret: { ne: 'draft' } });
  const message = moved([null, 'globex', '1', undefined]);
  expect(await fill(message, { ...RESOURCE, where }, keyedById)).toBe(message);
  expect(asked[0]?.text).toContain('where "id" = $1 and "account_id" = $2 and ("secret" <> $3))');
  expect(asked[0]?.values).toEqual(['1', 'globex', 'draft', '700']);
});
