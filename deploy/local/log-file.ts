import { copyFileSync, mkdirSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';

/** One process's log on this machine, and one older one of the same size. */
const MAX_LOG_BYTES = 64 * 1024 * 1024;

/** Opens a log for appending and returns its descriptor, to be handed to a child process. */
export function openLogFile(path: string): number {
  mkdirSync(dirname(path), { recursive: true });
  boundLogFile(path);
  return openSync(path, 'a');
}

/**
 * Moves a grown log aside by copying and truncating, because its writer holds it open. Lines written
 * between the two are lost; that is the price of a bounded disk without a pipe through this process.
 */
export function boundLogFile(path: string, maxBytes: number = MAX_LOG_BYTES): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= maxBytes) return;
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
}

/** The last lines of a log, for an error that has to say what its writer said. */
export function tailLogFile(path: string, lineCount: number): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lineCount).join('\n');
  } catch {
    return '';
  }
}
