import pg from 'pg';
import { expect, test } from 'vitest';
import { classifySourceError, describeRejection } from './classify-source-error.ts';

function failure(code: string, facts: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
  const error = new pg.DatabaseError(facts.message ?? 'inside', 1, 'error');
  return Object.assign(error, { code, ...facts });
}

test('a refused value is the item’s, an obstacle passes, and a table that changed ends the job', () => {
  expect(['22P02', '23505', '23514', 'P0001'].map((code) => classifySourceError(failure(code)))).toEqual(
    Array(4).fill('reject'),
  );
  expect(
    ['40001', '40P01', '55P03', '57P01', '53300'].map((code) => classifySourceError(failure(code))),
  ).toEqual(Array(5).fill('wait'));
  expect(['42501', '42P01', '42703'].map((code) => classifySourceError(failure(code)))).toEqual(
    Array(3).fill('stop'),
  );
  expect(classifySourceError(failure('57014'))).toBe('too_slow');
  expect(classifySourceError(new Error('socket hang up'))).toBe('wait');
});

test('a class of codes that PostgreSQL does not have is the product’s own word on the item', () => {
  for (const code of ['UX001', '45000', 'ZZ999', 'p0001'])
    expect(classifySourceError(failure(code))).toBe('reject');
  for (const code of ['08006', '53100', '57P01']) expect(classifySourceError(failure(code))).toBe('wait');
  for (const code of ['0A000', '28000', '3D000', '58030', '54001', 'XX000', 'HV000']) {
    expect(classifySourceError(failure(code))).toBe('stop');
  }
  expect(describeRejection(failure('UX001', { message: 'under audit' }))).toEqual({
    code: 'rejected',
    message: 'under audit',
  });
});

test('a customer reads the rule or what the product’s own trigger says, and nothing of the inside', () => {
  expect(describeRejection(failure('23514', { constraint: 'total_is_positive' }))).toEqual({
    code: 'constraint_violation',
    message: 'The change violates the constraint total_is_positive (23514).',
  });
  expect(describeRejection(failure('P0001', { message: 'paid invoices stay' })).message).toBe(
    'paid invoices stay',
  );
  expect(describeRejection(failure('22003')).message).not.toContain('inside');
});
