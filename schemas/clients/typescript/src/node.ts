import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tandem } from './client.ts';
import { ChecksumError, TandemError } from './errors.ts';
import { requireChecksum } from './file-stream.ts';
import type { Export, ExportFile } from './types.ts';

export interface DownloadOptions {
  /** Files at once. Default: 4. */
  readonly parallel?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/** Bytes of all files, with those that were there before. */
export interface DownloadProgress {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly filesDone: number;
  readonly files: number;
}

const DEFAULT_PARALLEL = 4;
const MANIFEST = 'manifest.json';

/**
 * Writes the files of a completed export into a folder, each first as `<name>.part`. A part that an earlier run left is
 * continued, and a file that is there is kept, if its SHA-256 is that of the manifest. `manifest.json` is written last.
 *
 * @returns the paths of the files
 * @throws ChecksumError, ApiError, ConnectionError; Error of the file system
 */
export async function downloadExport(
  client: Tandem,
  exported: Export | string,
  folder: string,
  { parallel = DEFAULT_PARALLEL, signal, onProgress }: DownloadOptions = {},
): Promise<string[]> {
  const id = typeof exported === 'string' ? exported : exported.id;
  const { files, status } = await client.exports.get(id, { signal });
  if (status !== 'completed') throw new TandemError(`The export ${id} is ${status}, and has no files.`);
  await mkdir(folder, { recursive: true });
  const progress = { bytes: 0, totalBytes: sum(files), filesDone: 0, files: files.length };
  const report = (bytes: number, filesDone = 0) => {
    progress.bytes += bytes;
    progress.filesDone += filesDone;
    onProgress?.({ ...progress });
  };
  const failed = new AbortController();
  const ends = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const waiting = [...files];
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      await downloadFile(client, id, file, pathOf(folder, file.name), ends, report);
      report(0, 1);
    }
  };
  const workers = Array.from({ length: Math.max(1, Math.min(parallel, files.length)) }, worker);
  // The first failure ends the others, and all of them have ended when it is thrown.
  for (const each of workers) each.catch((error: unknown) => failed.abort(error));
  const outcomes = await Promise.allSettled(workers);
  signal?.throwIfAborted();
  if (outcomes.some((outcome) => outcome.status === 'rejected')) throw failed.signal.reason;
  await writeFile(pathOf(folder, MANIFEST), await client.exports.manifestText(id, { signal }));
  return files.map(({ name }) => pathOf(folder, name));
}

async function downloadFile(
  client: Tandem,
  id: string,
  file: ExportFile,
  path: string,
  signal: AbortSignal,
  report: (bytes: number) => void,
): Promise<void> {
  if ((await sizeOf(path)) === file.bytes && (await hashOf(path)).digest('hex') === file.sha256) {
    report(file.bytes);
    return;
  }
  const part = `${path}.part`;
  try {
    await continuePart(client, id, file, part, signal, report);
  } catch (error) {
    if (!(error instanceof ChecksumError)) throw error;
    // Another export's part, or one that the disk has damaged: once more from the beginning.
    report(-Math.min(await sizeOf(part), file.bytes));
    await rm(part, { force: true });
    await continuePart(client, id, file, part, signal, report);
  }
  await rename(part, path);
}

async function continuePart(
  client: Tandem,
  id: string,
  file: ExportFile,
  part: string,
  signal: AbortSignal,
  report: (bytes: number) => void,
): Promise<void> {
  const offset = await sizeOf(part);
  if (offset > file.bytes) throw new ChecksumError(`${part} is longer than the file.`);
  const hash = offset === 0 ? createHash('sha256') : await hashOf(part);
  report(offset);
  await using handle = await open(part, 'a');
  for await (const chunk of client.exports.read(id, file, { offset, signal })) {
    hash.update(chunk);
    await handle.appendFile(chunk);
    report(chunk.length);
  }
  requireChecksum(file, hash.digest('hex'));
  await handle.sync();
}

async function hashOf(path: string) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return 0;
    throw error;
  }
}

/** @throws TandemError for a name that would lead out of the folder */
function pathOf(folder: string, name: string): string {
  if (/[/\\\0]/.test(name) || name === '' || name.startsWith('.')) {
    throw new TandemError(`The file name ${JSON.stringify(name)} is not allowed.`);
  }
  return join(folder, name);
}

function sum(files: readonly ExportFile[]): number {
  return files.reduce((total, { bytes }) => total + bytes, 0);
}
