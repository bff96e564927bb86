import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';

const MIN_JAVA = 17;

/** A tool of this machine that the stack can't do without. Its class tells a bare machine from a fault. */
export class MissingToolError extends SetupError {}

/** The major version out of `java -version`: 8 for "1.8.0_292", 17 for "17.0.15"; null when it is not Java's output. */
export function javaMajorVersion(output: string): number | null {
  const match = /version "(?:1\.)?(\d+)/.exec(output);
  return match?.[1] === undefined ? null : Number(match[1]);
}

/**
 * The lowest version that will do. The registry is built for Java 17 and newer ones may break it,
 * and Kafka runs on any from 17, so a machine with several uses its oldest.
 */
export function pickJava<T extends { readonly major: number }>(candidates: readonly T[]): T | undefined {
  return candidates.filter(({ major }) => major >= MIN_JAVA).sort((a, b) => a.major - b.major)[0];
}

/** The Java to run Kafka and the registry with. @throws MissingToolError naming the install command */
export function findJava(env: Env): string {
  const homes = [env.JAVA_HOME ?? '', ...listDirectories('/usr/lib/jvm'), ...macJavaHomes()].filter(Boolean);
  const paths = [...homes.map((home) => join(home, 'bin', 'java')), findOnPath('java', env) ?? ''];
  const programs = new Set(paths.filter(isExecutable).map((path) => realpathSync(path)));
  const candidates = [...programs].flatMap((path) => {
    const major = readReleaseVersion(path) ?? askVersion(path);
    return major === null ? [] : [{ path, major }];
  });
  const found = pickJava(candidates);
  if (found !== undefined) return found.path;
  const have =
    candidates.length === 0 ? 'none is installed' : `found only ${candidates.map((c) => c.major).join(', ')}`;
  throw new MissingToolError(
    `Java ${MIN_JAVA} or newer is needed for the local Kafka (${have}); install it: ${installCommand('openjdk-17-jre-headless', 'openjdk@17')}`,
  );
}

/** As the file beside it says, which takes a tenth of a second less than to ask it; null when there is none that says it. */
function readReleaseVersion(java: string): number | null {
  try {
    const release = readFileSync(join(dirname(dirname(java)), 'release'), 'utf8');
    return javaMajorVersion(release.replace(/^JAVA_VERSION=/m, 'version '));
  } catch {
    return null;
  }
}

function askVersion(java: string): number | null {
  const { stderr } = spawnSync(java, ['-version'], { encoding: 'utf8', timeout: 20_000 });
  return javaMajorVersion(stderr ?? '');
}

/** Maven, if it is installed. */
export function findMaven(env: Env): string | undefined {
  return findOnPath('mvn', env);
}

function installCommand(debian: string, brew: string): string {
  if (process.platform === 'darwin') return `brew install ${brew}`;
  return `${process.getuid?.() === 0 ? '' : 'sudo '}apt-get install -y ${debian}`;
}

function findOnPath(program: string, env: Env): string | undefined {
  return (env.PATH ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((directory) => join(directory, program))
    .find(isExecutable);
}

function macJavaHomes(): string[] {
  return listDirectories('/Library/Java/JavaVirtualMachines').map((path) => join(path, 'Contents', 'Home'));
}

function listDirectories(parent: string): string[] {
  try {
    return readdirSync(parent).map((name) => join(parent, name));
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
