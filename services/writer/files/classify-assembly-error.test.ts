import pg from 'pg';
import { expect, test } from 'vitest';
import { UnreadableRequestError } from '../../../shared/control/stored-request.ts';
import { UnknownOutputError } from '../../../shared/formats/choose-format.ts';
import { UnreadableLineError } from '../../../shared/formats/csv.ts';
import { DuckdbError } from '../../../shared/formats/duckdb-session.ts';
import { NoColumnsError } from '../../../shared/formats/parquet.ts';
import {
  StorageFullError,
  StorageNotFoundError,
  StorageRefusedError,
} from '../../../shared/storage/storage.ts';
import {
  assemblyExhausted,
  classifyAssemblyError,
  MAX_ASSEMBLY_ATTEMPTS,
} from './classify-assembly-error.ts';
import { MixedSchemasError, RowCountMismatchError } from './resource-file.ts';

const counts = {
  resource: 'invoices',
  rowsPlanned: 3,
  rowsExtracted: 3,
  rowsWritten: 2,
  parts: [],
  schemaIds: [],
};

test.each([
  ['row_count_mismatch', new RowCountMismatchError(counts, 2)],
  ['storage_full', new StorageFullError('exports/exp_1/invoices.jsonl')],
  ['storage_refused', new StorageRefusedError('exports/exp_1/invoices.jsonl')],
  ['part_lost', new StorageNotFoundError('parts/exp_1/invoices/0-1.jsonl')],
  ['storage_full', Object.assign(new Error('no space left'), { code: 'ENOSPC' })],
  ['assembly_failed', new DuckdbError(new Error('Out of Memory Error: could not allocate'))],
  ['assembly_failed', new NoColumnsError('the columns of invoices are not known')],
  ['assembly_failed', new MixedSchemasError('invoices has rows of the schemas 1, 2')],
  ['assembly_failed', new UnreadableLineError('a staged line is not JSON')],
])('%s ends the export at once', (code, error) => {
  expect(classifyAssemblyError(error, 1)).toMatchObject({ fail: { code } });
});

test('anything else is tried again, but not for ever', () => {
  const error = new Error('input/output error');
  expect(classifyAssemblyError(error, MAX_ASSEMBLY_ATTEMPTS - 1)).toBe('try again');
  expect(classifyAssemblyError(error, MAX_ASSEMBLY_ATTEMPTS)).toMatchObject({
    fail: { code: 'assembly_failed' },
  });
});

test('an outage is waited for as long as it takes, and a limit of the store is not', () => {
  const network = Object.assign(new Error('inside'), { code: 'ECONNRESET' });
  const slow = Object.assign(new pg.DatabaseError('inside', 1, 'error'), { code: '57014' });
  const storage = new Error('writing exports/x in S3', { cause: network });
  expect(classifyAssemblyError(storage, MAX_ASSEMBLY_ATTEMPTS)).toBe('outage');
  expect(classifyAssemblyError(slow, MAX_ASSEMBLY_ATTEMPTS)).toMatchObject({
    fail: { code: 'assembly_failed' },
  });
});

test('an assembly that was attempted as often as may be is attempted no more', () => {
  expect(assemblyExhausted(MAX_ASSEMBLY_ATTEMPTS)).toBeUndefined();
  expect(assemblyExhausted(MAX_ASSEMBLY_ATTEMPTS + 1)).toMatchObject({ code: 'assembly_failed' });
});

test.each([
  ['knows the format', new UnknownOutputError('unknown')],
  ['could read the stored request', new UnreadableRequestError('unreadable')],
])(
  'what no writer %s fails only after every attempt: an older writer leaves it to a newer one',
  (what, error) => {
    for (const tryCount of [1, MAX_ASSEMBLY_ATTEMPTS - 1])
      expect(classifyAssemblyError(error, tryCount)).toBe('leave to another');
    expect(classifyAssemblyError(error, MAX_ASSEMBLY_ATTEMPTS)).toMatchObject({
      fail: { code: 'assembly_failed', message: expect.stringContaining(what) },
    });
  },
);
