import { S3ServiceException } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { StorageFullError, StorageNotFoundError } from '../storage.ts';
import { toStorageError } from './s3-errors.ts';

const answer = (name: string, httpStatusCode: number) =>
  new S3ServiceException({ name, $fault: 'client', $metadata: { httpStatusCode } });

test.each(['NoSuchKey', 'NotFound', 'NoSuchUpload'])('%s is a missing file', (name) => {
  expect(toStorageError('reading', 'a/b', answer(name, 404))).toBeInstanceOf(StorageNotFoundError);
});

test('a missing bucket is not a missing file', () => {
  expect(toStorageError('reading', 'a/b', answer('NoSuchBucket', 404))).not.toBeInstanceOf(
    StorageNotFoundError,
  );
});

test.each([
  ['QuotaExceeded', 403],
  ['XMinioStorageFull', 507],
  ['SomethingNew', 507],
])('%s with status %i is a full storage', (name, status) => {
  expect(toStorageError('writing', 'a/b', answer(name, status))).toBeInstanceOf(StorageFullError);
});

test('any other failure says what was done to which file, with the reason as its cause', () => {
  const cause = answer('SlowDown', 503);
  const error = toStorageError('writing', 'a/b', cause);
  expect(error.message).toBe('writing a/b in S3');
  expect(error.cause).toBe(cause);
});

test('an error that has its class already is left as it is', () => {
  const error = new StorageFullError('a/b');
  expect(toStorageError('writing', 'a/b', error)).toBe(error);
});
