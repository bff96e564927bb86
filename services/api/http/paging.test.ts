import { expect, test } from 'vitest';
import { createSigner } from '../../../shared/runtime/signing.ts';
import { readCursor, writeCursor } from './paging.ts';

const signer = createSigner('a key of thirty-two characters!!', 'cursors');

test('a cursor returns its place, in its own list only', () => {
  const place = { at: '2026-01-01 00:00:00.000001+00', id: 'exp_1' };
  const cursor = writeCursor(signer, 'exports:acct_1', place);
  expect(readCursor(signer, 'exports:acct_1', cursor)).toEqual(place);
  expect(() => readCursor(signer, 'exports:acct_2', cursor)).toThrow('cursor');
  expect(() => readCursor(signer, 'exports:acct_1', `${cursor}x`)).toThrow('cursor');
  for (const text of ['', '.', 'a.b', 'a.b.c'])
    expect(() => readCursor(signer, 'exports:acct_1', text)).toThrow();
});
