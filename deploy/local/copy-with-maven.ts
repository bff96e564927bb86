import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';

const POM = fileURLToPath(new URL('./pom.xml', import.meta.url));

const PROGRESS_INTERVAL_MS = 1_000;

export interface MavenOptions {
  /** Maven's own settings come from here and from its files. */
  readonly env: Env;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Has Maven bring what `pom.xml` names into one directory. @throws SetupError with what Maven said; the signal's reason */
export async function copyWithMaven(maven: string, directory: string, options: MavenOptions): Promise<void> {
  const { env, say, signal } = options;
  const goals = ['dependency:copy-dependencies', 'dependency:copy'];
  const args = ['-B', '-f', POM, ...goals, `-DoutputDirectory=${directory}`];
  const child = spawn(maven, args, { env, stdio: ['ignore', 'pipe', 'pipe'], signal });
  const lastLines: string[] = [];
  let fileCount = 0;
  let lastSaidAtMs = 0;
  const read = (line: string) => {
    lastLines.push(line);
    if (lastLines.length > 200) lastLines.shift();
    const file = downloadedFile(line);
    if (file === null) return;
    fileCount += 1;
    if (Date.now() - lastSaidAtMs < PROGRESS_INTERVAL_MS) return;
    lastSaidAtMs = Date.now();
    say(`  ${fileCount} files: ${file}`);
  };
  createInterface(child.stdout).on('line', read);
  createInterface(child.stderr).on('line', read);
  const code = await new Promise<number | null>((resolve, reject) => {
    // When the signal aborts, the error says that it did, and its reason says why.
    child.once('error', (error) => reject(signal.aborted ? signal.reason : error));
    child.once('close', resolve);
  });
  if (code === 0) return;
  const errors = lastLines.filter((line) => line.includes('ERROR')).slice(0, 5);
  throw new SetupError(
    'Maven could not download Kafka and the schema registry. The first start needs the network ' +
      '(or a mirror and proxy in ~/.m2/settings.xml); run it again; it resumes where it was.',
    errors.length > 0 ? errors : lastLines.slice(-5),
  );
}

/** The file and its size out of one line of Maven's output, or null for any other line. */
export function downloadedFile(line: string): string | null {
  const match = /^(?:\[INFO\] )?Downloaded from [^:]*: \S*\/(\S+) \((.+?) at /.exec(line);
  return match === null ? null : `${match[1]} (${match[2]})`;
}
