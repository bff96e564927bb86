import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Local files of one attempt at an export; all are removed when the attempt ends. */
export interface ScratchFolder extends AsyncDisposable {
  /** A path without a file, in an existing folder. No two users may share a name at the same time. */
  path(name: string): Promise<string>;
}

/** Local disk for files that cannot be streamed, one folder per export, so that a crashed process's files are found. */
export interface Scratch {
  /** Creates nothing before the first `path`, which also removes what an earlier attempt at the export left. */
  open(exportId: string): ScratchFolder;
  /** Exports with files on this machine. */
  listExports(): Promise<string[]>;
  remove(exportId: string): Promise<void>;
}

export function createScratch(directory: string): Scratch {
  const remove = (path: string) => rm(path, { recursive: true, force: true, maxRetries: 3 });
  return {
    open(exportId) {
      const ofExport = join(directory, exportId);
      // A random name: a writer that lost its claim unnoticed must miss its files, not find another's.
      const ofAttempt = join(ofExport, randomBytes(6).toString('hex'));
      let made: Promise<unknown> | undefined;
      const make = async () => {
        await remove(ofExport);
        // The files hold customers' records, and other users may read the directory above.
        await mkdir(ofAttempt, { recursive: true, mode: 0o700 });
      };
      return {
        async path(name) {
          made ??= make();
          await made;
          return join(ofAttempt, name);
        },
        async [Symbol.asyncDispose]() {
          await remove(ofAttempt);
          // Another attempt's folder may be in it, and removes it later.
          await rmdir(ofExport).catch(() => undefined);
        },
      };
    },
    async listExports() {
      try {
        return await readdir(directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    },
    remove: (exportId) => remove(join(directory, exportId)),
  };
}
