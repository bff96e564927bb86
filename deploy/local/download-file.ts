import { createHash } from 'node:crypto';
import { createReadStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { type Dispatcher, request } from 'undici';
import { SetupError } from '../../shared/runtime/errors.ts';
import { backoffMs } from '../../shared/runtime/retry.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import type { LockedFile } from './jar-lock.ts';
import type { MavenRepository } from './maven.ts';

/** A connection without a byte for so long is broken off, and the download goes on over another. */
const SILENCE_LIMIT_MS = 30_000;

/** Tries of one file that bring nothing new, in a row. */
const MAX_TRIES = 4;

export interface DownloadOptions {
  readonly repository: MavenRepository;
  /** Knows the machine's proxy. */
  readonly dispatcher: Dispatcher;
  /** Told how many bytes of the file are there. */
  readonly onBytes: (count: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Brings a file to `target`, where it appears in one rename, once it is complete and has the digest of the list. What a broken
 * connection or a process that died left in `<target>.part` is gone on from.
 *
 * @throws SetupError when the repository has no such file, has another one, or can't be reached
 */
export async function downloadFile(
  file: LockedFile,
  target: string,
  options: DownloadOptions,
): Promise<void> {
  const part = `${target}.part`;
  for (let fruitless = 0; !existsSync(target); ) {
    const before = sizeOf(part);
    try {
      if (before < file.size) await fetchRest(file, part, before, options);
      if (sizeOf(part) < file.size) throw new Error('the connection ended too early');
      await requireDigest(file, part, options.repository.url);
      renameSync(part, target);
    } catch (error) {
      if (error instanceof SetupError) throw error;
      options.signal?.throwIfAborted();
      fruitless = sizeOf(part) > before ? 0 : fruitless + 1;
      if (fruitless === MAX_TRIES) throw unreachable(file, options.repository, error);
      await sleep(backoffMs(fruitless, { initialMs: 200, maxMs: 5_000 }), options.signal);
    }
  }
  options.onBytes(file.size);
}

/** @throws SetupError when the file is another than the list says; it is removed then */
export async function requireDigest(file: LockedFile, path: string, source: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const digest = hash.digest('hex');
  if (digest === file.sha256) return;
  const size = sizeOf(path);
  rmSync(path, { force: true });
  throw new SetupError(
    `${file.fileName} is not the file of the list (deploy/local/jars.lock.json); it was removed`,
    [
      `expected: SHA-256 ${file.sha256}, ${file.size} bytes`,
      `got:      SHA-256 ${digest}, ${size} bytes, from ${source}`,
      'run it again; if it fails again, the repository or a proxy changes files: ask its operator',
    ],
  );
}

async function fetchRest(
  file: LockedFile,
  part: string,
  from: number,
  { repository, dispatcher, onBytes, signal }: DownloadOptions,
): Promise<void> {
  const response = await request(`${repository.url}/${file.path}`, {
    dispatcher,
    headersTimeout: SILENCE_LIMIT_MS,
    bodyTimeout: SILENCE_LIMIT_MS,
    headers: {
      'accept-encoding': 'identity',
      ...(from > 0 ? { range: `bytes=${from}-` } : {}),
      ...(repository.authorization === undefined ? {} : { authorization: repository.authorization }),
    },
    ...(signal === undefined ? {} : { signal }),
  });
  const { statusCode, headers, body } = response;
  const resumes = statusCode === 206 && String(headers['content-range']).startsWith(`bytes ${from}-`);
  if (statusCode !== 200 && !resumes) {
    await body.dump();
    // No such range: what is there can't be the beginning of this file. Any other refusal says nothing about it.
    if (statusCode === 416) rmSync(part, { force: true });
    throw describeRefusal(statusCode, file, repository);
  }
  let count = resumes ? from : 0;
  // Written piece by piece, so that all that has come is there when the connection breaks.
  await using output = await open(part, resumes ? 'a' : 'w');
  for await (const chunk of body as AsyncIterable<Buffer>) {
    await output.appendFile(chunk);
    count += chunk.length;
    // Longer than the list says: broken off before it fills the disk, and the digest tells the rest.
    if (count > file.size) return;
    onBytes(count);
  }
}

/** A `SetupError` for what another try would not mend. */
function describeRefusal(statusCode: number, file: LockedFile, { url }: MavenRepository): Error {
  const answer = `${url} returned ${statusCode} for ${file.path}`;
  if (statusCode === 404) return new SetupError(`${answer}: it is no Maven repository, or has no such file`);
  if (statusCode === 401 || statusCode === 403 || statusCode === 407) {
    return new SetupError(
      `${answer}: it asks for a login, https://user:password@… in TANDEM_MAVEN_REPOSITORY`,
    );
  }
  return new Error(answer);
}

function unreachable(file: LockedFile, { url }: MavenRepository, cause: unknown): SetupError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SetupError(
    `${file.fileName} could not be downloaded from ${url}: ${reason}. Run it again: what is there already is kept.`,
  );
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
