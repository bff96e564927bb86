import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../../deploy/local/fetch-jars.ts';

/** The checker of Prometheus: metrics, rules, and tests of rules. */
export interface Promtool {
  /** @returns its exit code and all that it printed */
  run(args: readonly string[], input?: string): { code: number | null; output: string };
}

const FETCH_LIMIT_MS = 300_000;

/**
 * The promtool of this machine, or that of Debian's package, which is unpacked once into the cache and not installed. A machine
 * without either is told what it skips; in CI a skipped test would pass for a tested one, so there it is an error.
 */
export function findPromtool(): Promtool | undefined {
  const isInstalled = spawnSync('promtool', ['--version']).status === 0;
  const folder = join(cacheDirectory(process.env), 'prometheus');
  const program = isInstalled ? 'promtool' : join(folder, 'usr/bin/promtool');
  try {
    if (!isInstalled && !existsSync(program)) unpack(folder);
  } catch (cause) {
    const needed = 'promtool, of the package prometheus';
    if (process.env.CI === 'true') throw new Error(`the tests of the monitoring need ${needed}`, { cause });
    console.warn(`skipping tests of the monitoring: they need ${needed}`);
    return undefined;
  }
  return {
    run(args, input = '') {
      const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
      return { code: status, output: `${stdout}${stderr}` };
    },
  };
}

/** Put in place in one step, so that two runs at once, or one that is broken off, leave nothing half done. */
function unpack(folder: string): void {
  const parent = join(folder, '..');
  mkdirSync(parent, { recursive: true });
  const target = mkdtempSync(join(parent, 'fetching-'));
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: target, stdio: 'pipe', timeout: FETCH_LIMIT_MS });
  try {
    try {
      run('apt-get', 'download', 'prometheus');
    } catch {
      // The lists of packages are missing or old.
      run('apt-get', 'update', '-qq');
      run('apt-get', 'download', 'prometheus');
    }
    const [archive] = readdirSync(target).filter((name) => name.endsWith('.deb'));
    if (archive === undefined) throw new Error('apt-get downloaded no package');
    run('dpkg', '-x', archive, 'unpacked');
    if (!existsSync(folder)) renameSync(join(target, 'unpacked'), folder);
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}
