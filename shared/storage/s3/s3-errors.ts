import { S3ServiceException } from '@aws-sdk/client-s3';
import { StorageFullError, StorageNotFoundError } from '../storage.ts';

/** `NotFound` is the answer to HEAD, which has no body to say more in. */
const MISSING = new Set(['NoSuchKey', 'NotFound', 'NoSuchUpload']);

/** Amazon's buckets are never full; these are what other servers say, with 507 as their status or without. */
const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded']);
const INSUFFICIENT_STORAGE = 507;

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
  if (cause instanceof StorageFullError || cause instanceof StorageNotFoundError) return cause;
  if (isMissing(cause)) return new StorageNotFoundError(path, { cause });
  if (isFull(cause)) return new StorageFullError(path, { cause });
  return new Error(`${doing} ${path} in S3`, { cause });
}

function isFull(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  return FULL.has(error.name) || error.$metadata.httpStatusCode === INSUFFICIENT_STORAGE;
}
