import pg from 'pg';
import { expect, test } from 'vitest';
import { silentLog } from '../runtime/log.ts';
import { mayPassByItself, retryQuery } from './retry-query.ts';

function databaseError(code: string): Error {
  return Object.assign(new pg.DatabaseError('told by the server', 0, 'error'), { code });
}

test.each(['08006', '53300', '57P01', '57P03', '40P01', '40001', '55P03', '57014'])(
  'the server answering %s may pass by itself',
  (code) => {
    expect(mayPassByItself(databaseError(code))).toBe(true);
  },
);

test.each(['42703', '23505', '22P02'])('the server answering %s stays as it is', (code) => {
  expect(mayPassByItself(databaseError(code))).toBe(false);
});

test('a connection that is refused or ends may pass by itself, a bug may not', () => {
  expect(mayPassByItself(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))).toBe(true);
  expect(mayPassByItself(new Error('Connection terminated unexpectedly'))).toBe(true);
  expect(mayPassByItself(new TypeError('undefined'))).toBe(false);
});

test('a statement is tried again until it is answered', async () => {
  let tryCount = 0;
  const answer = await retryQuery('counting', silentLog, async () => {
    tryCount += 1;
    if (tryCount < 2) throw databaseError('57P01');
    return tryCount;
  });
  expect(answer).toBe(2);
});

test('a failure that stays is thrown at once, with what was being done', async () => {
  const error = databaseError('42703');
  await expect(retryQuery('counting', silentLog, () => Promise.reject(error))).rejects.toMatchObject({
    message: 'counting',
    cause: error,
  });
});
