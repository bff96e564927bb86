import { S3ServiceException } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { StorageFullError, StorageNotFoundError, StorageRefusedError } from '../storage.ts';
import { isOutage, toStorageError } from './s3-errors.ts';

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

test.each([
  ['AccessDenied', 403],
  ['SignatureDoesNotMatch', 403],
  ['ExpiredToken', 400],
])('%s with status %i is refused', (name, status) => {
  expect(toStorageError('writing', 'a/b', answer(name, status))).toBeInstanceOf(StorageRefusedError);
});

test('a server that is away or at fault is an outage, one that answers no is not', () => {
  expect(isOutage(answer('InternalError', 500))).toBe(true);
  expect(isOutage(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))).toBe(true);
  expect(isOutage(answer('AccessDenied', 403))).toBe(false);
  expect(isOutage(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))).toBe(false);
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
