import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { createGather } from '../runtime/gather.ts';
import {
  type FileWriter,
  pathSegments,
  type Storage,
  StorageFullError,
  StorageNotFoundError,
  StorageRefusedError,
  type StoredFile,
} from './storage.ts';

/** Temporary files start with a dot, which no path in storage may, so they are never taken for a file. */
const TEMPORARY_PREFIX = '.';

/**
 * Exports are customers' records: other users of the machine may not read them. The group may, so that services that run as
 * different users can share a directory.
 */
const FILE_MODE = 0o640;
export const DIRECTORY_MODE = 0o750;

/**
 * Each is garbage once it was read, and outside of V8's heap, which is swept only as fast as small things fill it: larger ones
 * are no faster and let a writer that puts a large file together hold 50 MB more.
 */
const READ_BUFFER_BYTES = 64 * 1024;

/**
 * Storage in a directory of this machine, or of a network file system that all services mount.
 * A file is written under a temporary name beside its place, synced, renamed, and its directory synced:
 * after a power cut it is there whole or not at all.
 */
export function createFileStorage(directory: string): Storage {
  const root = resolve(directory);
  const locate = (path: string): string => join(root, ...pathSegments(path));
  return {
    openWriter: (path) => openFileWriter(root, path, locate(path)),

    async openRead(path, range) {
      const handle = await open(locate(path)).catch((cause) => {
        if (isMissing(cause)) throw new StorageNotFoundError(path, { cause });
        throw isRefused(cause) ? new StorageRefusedError(path, { cause }) : cause;
      });
      return handle.createReadStream({
        highWaterMark: READ_BUFFER_BYTES,
        ...(range === undefined ? {} : { start: range.start }),
        ...(range?.end === undefined ? {} : { end: range.end }),
      });
    },

    async stat(path) {
      const found = await orIfMissing(stat(locate(path)), undefined);
      return found?.isFile() === true ? { path, bytes: found.size } : undefined;
    },

    delete: (path) => orIfMissing(unlink(locate(path)), undefined),

    deleteFolder: (folder) => rm(locate(folder), { recursive: true, force: true, maxRetries: 3 }),

    list: (folder) => listFiles(locate(folder), folder),

    async listNames(folder) {
      const entries = await readDirectory(locate(folder));
      return entries.map(({ name }) => name);
    },
  };
}

async function* listFiles(directory: string, folder: string): AsyncGenerator<StoredFile> {
  for (const entry of await readDirectory(directory)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* listFiles(join(directory, entry.name), path);
    else {
      const found = await orIfMissing(stat(join(directory, entry.name)), undefined);
      if (found !== undefined) yield { path, bytes: found.size };
    }
  }
}

/** Committed files and folders in order of name; empty for a directory that is not there. */
async function readDirectory(directory: string): Promise<Dirent[]> {
  const entries = await orIfMissing(readdir(directory, { withFileTypes: true }), []);
  return entries
    .filter(({ name }) => !name.startsWith(TEMPORARY_PREFIX))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function openFileWriter(root: string, path: string, target: string): Promise<FileWriter> {
  const directory = dirname(target);
  const temporary = join(
    directory,
    `${TEMPORARY_PREFIX}${basename(target)}.${randomBytes(6).toString('hex')}`,
  );
  const handle = await failingAs(path, async () => {
    await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
    return open(temporary, 'wx', FILE_MODE);
  });
  let bytes = 0;
  let state: 'open' | 'committed' | 'aborted' = 'open';
  return {
    path,
    get bytes() {
      return bytes;
    },
    append: (chunk) =>
      failingAs(path, async () => {
        const data = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
        await writeAll(handle, data);
        bytes += data.length;
      }),
    commit: () =>
      failingAs(path, async () => {
        await handle.sync();
        await handle.close();
        await rename(temporary, target);
        await syncDirectories(root, directory);
        state = 'committed';
      }),
    async abort() {
      if (state !== 'open') return;
      state = 'aborted';
      // A handle that a failed commit has closed already is closed; the file is what matters.
      await handle.close().catch(() => undefined);
      await orIfMissing(unlink(temporary), undefined);
    },
  };
}

/** One write call may take only a part, for example on a disk that is filling up. */
async function writeAll(handle: FileHandle, data: Buffer): Promise<void> {
  let offset = 0;
  while (offset < data.length) {
    const { bytesWritten } = await handle.write(data, offset);
    offset += bytesWritten;
  }
}

/**
 * A new directory is only durable once its parent is synced. Another process may have made it just before us,
 * so the whole way up to the root is synced each time; on directories that did not change this costs next to nothing.
 */
async function syncDirectories(root: string, directory: string): Promise<void> {
  for (let current = directory; ; current = dirname(current)) {
    await syncDirectory(current);
    if (current === root || current.length <= root.length) return;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const outcome = await gatherSync(directory);
  if (outcome?.status === 'rejected') throw outcome.reason;
}

/** Files that are committed at the same time share the syncs of their directories: one that begins later covers each of them. */
const gatherSync = createGather(async (directories: readonly string[]) => {
  const distinct = [...new Set(directories)];
  const outcomes = await Promise.allSettled(distinct.map(syncDirectoryNow));
  return directories.map((directory) => outcomes[distinct.indexOf(directory)]);
});

async function syncDirectoryNow(directory: string): Promise<void> {
  const handle = await open(directory);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Runs a step of writing `path` and gives its failure the class that callers decide by. */
async function failingAs<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    const code = errorCode(cause);
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new StorageFullError(path, { cause });
    if (code === 'ENOENT') throw new StorageNotFoundError(path, { cause });
    if (isRefused(cause)) throw new StorageRefusedError(path, { cause });
    throw new Error(`writing ${path} to storage`, { cause });
  }
}

async function orIfMissing<T, U>(work: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error)) return otherwise;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function isRefused(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(errorCode(error) ?? '');
}

function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
