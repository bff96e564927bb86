import pg from 'pg';
import { expect, test } from 'vitest';
import { CatalogBehindError } from '../../shared/catalog/catalog-behind-error.ts';
import { WORKER_LOST } from '../../shared/control/bulk/claim-chunk.ts';
import { UnreadableRequestError } from '../../shared/control/stored-request.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { StorageNotFoundError, StorageRefusedError } from '../../shared/storage/storage.ts';
import {
  classifyListingError,
  countedFailure,
  JobFailedError,
  MAX_SAME_FAILURES,
  repeatedFailure,
  SourceQueryError,
} from './job-failures.ts';

const database = (code: string) => Object.assign(new pg.DatabaseError('inside', 1, 'error'), { code });

test('what comes back by itself is never counted, however often it was met', () => {
  for (const code of ['08006', '40001', '53100', '55P03', '57P01']) {
    expect(countedFailure(new SourceQueryError(database(code)))).toBeUndefined();
  }
  expect(countedFailure(new SourceQueryError(new Error('Connection terminated')))).toBeUndefined();
  expect(countedFailure(Object.assign(new Error('inside'), { code: 'ECONNREFUSED' }))).toBeUndefined();
  // A control store that is being migrated is no job's fault.
  expect(countedFailure(database('42P01'))).toBeUndefined();
});

test('a value that a database refuses, a state that it does not leave and a bug are counted by name', () => {
  expect(countedFailure(database('22021'))).toBe('22021');
  for (const code of ['22021', '25006', '55000', 'XX001']) {
    expect(countedFailure(new SourceQueryError(database(code)))).toBe(code);
  }
  expect(countedFailure(new TypeError('inside'))).toBe('TypeError');
  expect(countedFailure(new UnreadableRequestError('stored'))).toBe('UnreadableRequestError');
});

test('the same failure ends a job when it has come often enough, with a code that says which', () => {
  expect(repeatedFailure('22021', MAX_SAME_FAILURES - 1)).toBeUndefined();
  expect(repeatedFailure('22021', MAX_SAME_FAILURES)).toMatchObject({
    code: 'processing_failed',
    message: expect.stringContaining('22021'),
  });
  expect(repeatedFailure('25006', MAX_SAME_FAILURES)?.code).toBe('source_read_only');
  expect(repeatedFailure(WORKER_LOST, MAX_SAME_FAILURES)).toBeUndefined();
  expect(repeatedFailure(WORKER_LOST, 20)?.code).toBe('processing_failed');
  expect(repeatedFailure(null, 0)).toBeUndefined();
});

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

test('a table ahead of its catalog is waited for, and counts, so that a job does not wait for ever', () => {
  const behind = fromSource(new CatalogBehindError('deals'));
  expect(classifyListingError(behind, 1_000)).toBeUndefined();
  expect(countedFailure(behind)).toBe('CatalogBehindError');
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
