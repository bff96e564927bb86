import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The files of the project, for the rules that they keep.

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Tracked files and new ones that are not ignored, so that a rule holds before the commit too. */
export const FILES = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
})
  .toString()
  .split('\n')
  .filter((path) => path !== '');

export const SOURCES = FILES.filter((path) => path.endsWith('.ts')).flatMap((path) => {
  try {
    return [{ path, text: readFileSync(join(ROOT, path), 'utf8') }];
  } catch {
    return [];
  }
});

export const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

export const isTest = (path: string) => path.endsWith('.test.ts') || path.startsWith('test/');
