import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Checkout extends Disposable {
  readonly directory: string;
  /** Its full hash. */
  readonly commit: string;
}

/** Checks a commit out beside this tree, with its packages: those here when they are the same. */
export function checkOut(ref: string): Checkout {
  const git = (...args: string[]) => execFileSync('git', ['-C', ROOT, ...args], { encoding: 'utf8' }).trim();
  const commit = git('rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`);
  const home = mkdtempSync(join(tmpdir(), 'tandem-upgrade-'));
  const directory = join(home, 'tree');
  const remove = () => {
    git('worktree', 'remove', '--force', directory);
    rmSync(home, { recursive: true, force: true });
  };
  git('worktree', 'add', '--quiet', '--detach', directory, commit);
  try {
    if (packagesOf(directory) === packagesOf(ROOT)) {
      symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    } else {
      execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: directory, stdio: 'inherit' });
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { directory, commit, [Symbol.dispose]: remove };
}

/** What is installed, by the lock file. The entry without a name is the product itself. */
function packagesOf(root: string): string {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>;
  };
  return JSON.stringify(Object.entries(packages).filter(([name]) => name !== ''));
}
