import pg from 'pg';
import { expect, test } from 'vitest';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { StorageNotFoundError, StorageRefusedError } from '../../../shared/storage/storage.ts';
import { JobFailedError, SourceQueryError } from '../job-failures.ts';
import { classifyListingError } from './classify-listing-error.ts';

const database = (code: string) => Object.assign(new pg.DatabaseError('inside', 1, 'error'), { code });
const network = (code: string) => Object.assign(new Error('inside'), { code });
const fromSource = (cause: unknown) => new SourceQueryError(cause);

test('what is not reachable now is tried again however often it was', () => {
  const outages = [
    network('ECONNREFUSED'),
    network('ECONNRESET'),
    new Error('Connection terminated unexpectedly'),
    new Error('reading bulk/x in S3', { cause: network('ETIMEDOUT') }),
    // The control store's own, whatever it says: no job is at fault for that.
    database('57P01'),
    database('53100'),
    database('42P01'),
    ...['57P01', '57P03', '08006', '53300', '55P03'].map((code) => fromSource(database(code))),
    fromSource(network('ECONNREFUSED')),
  ];
  for (const outage of outages) expect(classifyListingError(outage, 1_000)).toBeUndefined();
});

test('what is about the job itself ends it, with a code that names what is at fault', () => {
  const codeOf = (error: unknown, attempts = 1) => classifyListingError(error, attempts)?.code;
  expect(codeOf(new JobFailedError('operation_gone', 'gone'))).toBe('operation_gone');
  expect(codeOf(new StorageNotFoundError('x'))).toBe('file_gone');
  expect(codeOf(new StorageRefusedError('x'))).toBe('storage_refused');
  expect(codeOf(fromSource(new SetupError('the table is not there')))).toBe('source_refused');
  expect(codeOf(fromSource(database('42501')))).toBe('source_refused');
  expect(codeOf(fromSource(database('22012')))).toBe('filter_refused');
  expect(codeOf(fromSource(database('57014')), 2)).toBeUndefined();
  expect(codeOf(fromSource(database('57014')), 3)).toBe('filter_too_slow');
});
