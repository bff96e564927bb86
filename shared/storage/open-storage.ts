import { randomBytes } from 'node:crypto';
import { mkdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EnvReader, reveal, type Secret, type SecretUrl } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import { createFileStorage, DIRECTORY_MODE } from './file-storage.ts';
import { parseS3Location } from './s3/s3-location.ts';
import type { Storage } from './storage.ts';

/** Reads `STORAGE_URL`, and refuses one that names no storage. Whether it can be used is known once it is opened. */
export function readStorageUrl(read: EnvReader): SecretUrl {
  const url = read.url('STORAGE_URL');
  // Reported as missing, or as no URL.
  if (!URL.canParse(url.reveal())) return url;
  try {
    checkStorageUrl(url.reveal());
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    for (const finding of error.findings) read.refuse(`STORAGE_URL: ${finding}`);
  }
  return url;
}

/** @throws SetupError naming everything that is wrong with it */
function checkStorageUrl(url: string): void {
  const parsed = URL.parse(url);
  if (parsed?.protocol === 's3:') parseS3Location(url);
  else if (parsed?.protocol !== 'file:' || parsed.host !== '') {
    throw new SetupError('STORAGE_URL is not usable', [
      'it must be file:/// followed by an absolute path, or s3:// followed by a bucket',
    ]);
  }
}

/**
 * Opens the storage that `STORAGE_URL` names: `file:///…` for a directory, which is made when it is missing, and
 * `s3://…` for a bucket, which is not.
 *
 * @throws SetupError when the URL is of another kind, or nothing can be written there
 */
export async function openStorage(storageUrl: Secret | string): Promise<Storage> {
  const url = reveal(storageUrl);
  checkStorageUrl(url);
  if (url.startsWith('s3:')) {
    // Loaded on demand: the client is large, and storage in a directory does not need it.
    const { openS3Storage } = await import('./s3/open-s3-storage.ts');
    return openS3Storage(url);
  }
  const root = fileURLToPath(url);
  await mkdir(root, { recursive: true, mode: DIRECTORY_MODE }).catch((cause) => {
    throw unusable(root, cause);
  });
  // Found out now rather than at the end of somebody's first export.
  const probe = join(root, `.probe.${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(probe, '');
    await unlink(probe);
  } catch (cause) {
    throw unusable(root, cause);
  }
  return createFileStorage(root);
}

/** The directory that a `file:` URL names; undefined for a bucket. */
export function directoryOf(storageUrl: Secret | string): string | undefined {
  const parsed = URL.parse(reveal(storageUrl));
  return parsed?.protocol === 'file:' ? fileURLToPath(parsed) : undefined;
}

function unusable(root: string, cause: unknown): SetupError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SetupError('STORAGE_URL is not usable', [
    `${root}: ${reason}; give the service's user the right to write there, or name another directory`,
  ]);
}
