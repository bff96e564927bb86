import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Another language's readers of what an export publishes: its own csv and zipfile, and pyarrow for Parquet. */
export interface Python {
  /** Runs a script of `test/support`, and gives what it printed as JSON. */
  read(script: string, ...args: readonly string[]): Promise<unknown>;
}

const PYARROW = 'pyarrow==26.0.1';
const PACKAGES = fileURLToPath(new URL(`../../node_modules/.cache/tandem/${PYARROW}`, import.meta.url));
const FETCH_LIMIT_MS = 300_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * Python with pyarrow, which is fetched once into a cache of this checkout. A machine without Python or without a way to the
 * package is told what it skips; in CI a skipped test would pass for a tested one, so there it is an error.
 */
export function findPython(): Python | undefined {
  try {
    if (!existsSync(PACKAGES)) fetchPackages();
  } catch (cause) {
    if (process.env.CI === 'true') throw new Error('the tests of files need python3 with pip', { cause });
    console.warn('skipping the tests that read files in Python: they need python3 with pip');
    return undefined;
  }
  return {
    async read(script, ...args) {
      const path = fileURLToPath(new URL(script, import.meta.url));
      const { stdout } = await promisify(execFile)('python3', [path, ...args], {
        env: { PATH: process.env.PATH, PYTHONPATH: PACKAGES, PYTHONUTF8: '1' },
        maxBuffer: MAX_OUTPUT_BYTES,
      });
      return JSON.parse(stdout);
    },
  };
}

/** Put in place in one step, so that two runs at once, or one that is broken off, leave nothing half done. */
function fetchPackages(): void {
  const parent = dirname(PACKAGES);
  mkdirSync(parent, { recursive: true });
  const target = mkdtempSync(join(parent, 'fetching-'));
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary=:all:', '--target', target];
    execFileSync('python3', [...pip, PYARROW], { stdio: 'pipe', timeout: FETCH_LIMIT_MS });
    if (!existsSync(PACKAGES)) renameSync(target, PACKAGES);
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}
