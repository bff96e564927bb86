import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What one try at an export keeps on the local disk; all of it is removed at the try's end. */
export interface ScratchFolder extends AsyncDisposable {
  /** A path where no file is; its folder exists. Each name may be asked for once at a time. */
  path(name: string): Promise<string>;
}

/** Local disk for files that can't be streamed, by export, so that what a killed process left can be found. */
export interface Scratch {
  /** Nothing is made before a path is asked for. What an earlier try at the export left here goes then. */
  open(exportId: string): ScratchFolder;
  /** Exports that something is kept for on this machine. */
  listExports(): Promise<string[]>;
  remove(exportId: string): Promise<void>;
}

export function createScratch(directory: string): Scratch {
  const remove = (path: string) => rm(path, { recursive: true, force: true, maxRetries: 3 });
  return {
    open(exportId) {
      const ofExport = join(directory, exportId);
      // A name of its own: a writer that lost its claim without noticing must find its files gone, not another's.
      const ofAttempt = join(ofExport, randomBytes(6).toString('hex'));
      let made: Promise<unknown> | undefined;
      const make = async () => {
        await remove(ofExport);
        // Customers' records pass through here, and the directory above may be one for everybody.
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
          // Another try's folder may be in it; then it is that one's to remove.
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
