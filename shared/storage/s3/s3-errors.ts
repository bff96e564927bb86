import { S3ServiceException } from '@aws-sdk/client-s3';
import { classifyTransient } from '../../runtime/transient.ts';
import { StorageFullError, StorageNotFoundError, StorageRefusedError } from '../storage.ts';

/** `NotFound` is the answer to HEAD, which has no body to say more in. */
const MISSING = new Set(['NoSuchKey', 'NotFound', 'NoSuchUpload']);

/** Amazon's buckets are never full; these are what other servers say, with 507 as their status or without. */
const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded']);
const INSUFFICIENT_STORAGE = 507;

/** Rights, keys and signatures; a key that has expired comes with another status, and so does a bucket that was deleted. */
const FORBIDDEN = 403;
const REFUSED = new Set(['ExpiredToken', 'InvalidToken', 'NoSuchBucket']);

/** The code in S3's answer; undefined when the error did not come from there. */
export function s3Code(error: unknown): string | undefined {
  return error instanceof S3ServiceException ? error.name : undefined;
}

export function isMissing(error: unknown): boolean {
  return MISSING.has(s3Code(error) ?? '');
}

/** Runs a step on `path` and gives its failure the class that callers decide by. `doing` is for the log: "writing". */
export async function failingAs<T>(doing: string, path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    throw toStorageError(doing, path, cause);
  }
}

export function toStorageError(doing: string, path: string, cause: unknown): Error {
  if (isStorageError(cause)) return cause;
  if (isMissing(cause)) return new StorageNotFoundError(path, { cause });
  if (isFull(cause)) return new StorageFullError(path, { cause });
  if (isRefused(cause)) return new StorageRefusedError(path, { cause });
  return new Error(`${doing} ${path} in S3`, { cause });
}

function isFull(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  return FULL.has(error.name) || error.$metadata.httpStatusCode === INSUFFICIENT_STORAGE;
}

function isRefused(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  return REFUSED.has(error.name) || error.$metadata.httpStatusCode === FORBIDDEN;
}

function isStorageError(error: unknown): error is Error {
  return (
    error instanceof StorageFullError ||
    error instanceof StorageNotFoundError ||
    error instanceof StorageRefusedError
  );
}

/** Whether the server is away, busy or broken. A host name that does not resolve is more likely a mistake in the settings. */
export function isOutage(error: unknown): boolean {
  const transient = classifyTransient(error);
  return transient !== undefined && transient !== 'unknown_host';
}
