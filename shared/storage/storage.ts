import type { Readable } from 'node:stream';

/** A link that needs no key. Its holder may download one file until it expires. */
export interface PresignedUrl {
  readonly url: string;
  /** To the second; never later than asked for, and earlier where what it was signed with ends earlier. */
  readonly expiresAt: Date;
}

/** Makes links to files in storage, for every kind of storage. */
export interface DownloadLinks {
  /** @param path of the file in storage; whether it is there is not looked at */
  presign(path: string, expiresAtMs: number): Promise<PresignedUrl>;
}

/** A file as `list` and `stat` see it. */
export interface StoredFile {
  readonly path: string;
  readonly bytes: number;
}

/** Bytes of a file, both ends inclusive as in HTTP's `Range`. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

/**
 * A file being written. Nobody sees it under its path until `commit` has returned, and then it is whole
 * and on stable storage. Calls must be awaited one after the other.
 */
export interface FileWriter {
  readonly path: string;
  /** Accepted so far. */
  readonly bytes: number;
  /**
   * The caller may use the buffer again once this has returned.
   *
   * @throws StorageFullError when there is no space left; StorageRefusedError when writing is not allowed
   */
  append(chunk: Buffer | string): Promise<void>;
  /**
   * Makes the file durable and puts it in its place, replacing one of the same path at once.
   *
   * @throws StorageFullError as `append` does; StorageNotFoundError when the folder was deleted meanwhile, where a
   *   folder is more than the beginning of names: a bucket takes a small file all the same
   */
  commit(): Promise<void>;
  /** Removes what was written. Safe to call twice, and after a failed or a finished `commit` (which it leaves alone). */
  abort(): Promise<void>;
}

/**
 * Where files are kept: a directory or a bucket, both behind `describeStorage`.
 *
 * Paths are relative, with `/` between segments of `[A-Za-z0-9_-][A-Za-z0-9._-]*`; anything else is a
 * RangeError, so that no request can name a file outside. Folders exist as long as something is in them.
 */
export interface Storage {
  /** Links that the storage serves by itself; absent when its files are reached through Tandem only. */
  readonly links?: DownloadLinks;
  /** Starts a file. Several writers of one path may be open at once; the last `commit` wins. */
  openWriter(path: string): Promise<FileWriter>;
  /**
   * The file is held open from here on: deleting or replacing it later does not disturb the stream.
   * The caller must read it to its end or destroy it.
   *
   * @throws StorageNotFoundError
   */
  openRead(path: string, range?: ByteRange): Promise<Readable>;
  /** @returns undefined when there is no such file */
  stat(path: string): Promise<StoredFile | undefined>;
  /** Deletes a file; one that is not there is no error. */
  delete(path: string): Promise<void>;
  /** Deletes everything in a folder, also what crashed writers left. A folder that is not there is no error. */
  deleteFolder(folder: string): Promise<void>;
  /** Every committed file in a folder and below, in order of path; empty when there is no such folder. */
  list(folder: string): AsyncIterable<StoredFile>;
  /** Names of the files and folders directly in a folder, sorted, also of folders where only a crashed writer left something. */
  listNames(folder: string): Promise<string[]>;
}

export class StorageNotFoundError extends Error {
  override readonly name = 'StorageNotFoundError';
  readonly path: string;

  constructor(path: string, options?: ErrorOptions) {
    super(`there is no file ${path} in storage`, options);
    this.path = path;
  }
}

/** The disk, its quota or the bucket is full. What to do is the operator's; trying again at once is of no use. */
export class StorageFullError extends Error {
  override readonly name = 'StorageFullError';
  readonly path: string;

  constructor(path: string, options?: ErrorOptions) {
    super(`storage is full: ${path} can't be written`, options);
    this.path = path;
  }
}

/** Rights, keys, a read-only mount or a bucket that is gone stand against it. The next try would be refused too, until an operator has mended that. */
export class StorageRefusedError extends Error {
  override readonly name = 'StorageRefusedError';
  readonly path: string;

  constructor(path: string, options?: ErrorOptions) {
    super(`storage refuses access to ${path}`, options);
    this.path = path;
  }
}

const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

/** Longest path in characters; S3 allows 1,024 bytes with the bucket's own prefix before it. */
const MAX_PATH_LENGTH = 900;

/**
 * The segments of a path in storage. A leading dot is refused, which keeps out `..` and the names of temporary files.
 *
 * @throws RangeError when the path is not usable
 */
export function pathSegments(path: string): string[] {
  const segments = path.split('/');
  if (path.length > MAX_PATH_LENGTH || !segments.every((segment) => SEGMENT.test(segment))) {
    throw new RangeError(`not a path in storage: ${JSON.stringify(path.slice(0, MAX_PATH_LENGTH))}`);
  }
  return segments;
}

/** Media types by a name's last suffix, which for a compressed file is the compression's. */
const TYPES = new Map([
  ['csv', 'text/csv; charset=utf-8'],
  ['gz', 'application/gzip'],
  ['json', 'application/json'],
  ['jsonl', 'application/jsonl'],
  ['parquet', 'application/vnd.apache.parquet'],
  ['zip', 'application/zip'],
  ['zst', 'application/zstd'],
]);

/** What a file is served as, by its name. */
export function contentTypeOf(name: string): string {
  return TYPES.get(name.slice(name.lastIndexOf('.') + 1)) ?? 'application/octet-stream';
}
