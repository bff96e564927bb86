import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sleep } from '../../shared/runtime/sleep.ts';

/** SQLite's primary result code for a lock that another connection holds. */
const SQLITE_BUSY = 5;

const POLL_MS = 200;

/**
 * Takes the lock that a file stands for, or returns null while another process has it.
 *
 * The lock is the operating system's own (through SQLite), because it is released by the kernel with
 * its process: a file that merely exists is left over after SIGKILL, and clearing it away is a race.
 */
export function tryLock(path: string): Disposable | null {
  mkdirSync(dirname(path), { recursive: true });
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Error && (error as { errcode?: unknown }).errcode === SQLITE_BUSY) return null;
    throw new Error(`locking ${path}`, { cause: error });
  }
  return { [Symbol.dispose]: () => database.close() };
}

/** Waits for the lock until the deadline. `onWait` is called once, when there is something to wait for. */
export async function lockWithin(path: string, limitMs: number, onWait: () => void): Promise<Disposable> {
  const deadlineAtMs = Date.now() + limitMs;
  for (let attempt = 0; ; attempt += 1) {
    const lock = tryLock(path);
    if (lock !== null) return lock;
    if (Date.now() > deadlineAtMs) throw new Error(`another process has held ${path} for ${limitMs} ms`);
    if (attempt === 0) onWait();
    await sleep(POLL_MS);
  }
}
