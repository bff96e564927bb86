import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { findJava, findMaven, MissingToolError } from './java.ts';
import { lockWithin } from './lock.ts';

const run = promisify(execFile);

const POM = fileURLToPath(new URL('./pom.xml', import.meta.url));

/** A slow line gets 100 MB through in this time; after that something hangs. */
const DOWNLOAD_LIMIT_MS = 20 * 60_000;

const PROGRESS_INTERVAL_MS = 1_000;

export interface Jars {
  /** Kafka's jars, for a class path. */
  readonly kafkaDirectory: string;
  /** The unpacked registry, with its `*-runner.jar`. */
  readonly registryDirectory: string;
}

/** Where downloads are kept, for all checkouts and data directories of this user. */
export function cacheDirectory(env: Env): string {
  const base = env.XDG_CACHE_HOME;
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'tandem');
}

/**
 * Kafka and the registry, downloaded by Maven the first time. Later calls need no network and no Maven.
 *
 * The directory is named by the pom's digest and appears in one rename when it is complete, so a run
 * that dies half-way leaves nothing that a later one could take for whole.
 *
 * @throws SetupError when Maven is missing or the download fails, with what to do
 */
export async function fetchJars(env: Env, say: (line: string) => void, signal?: AbortSignal): Promise<Jars> {
  const cache = cacheDirectory(env);
  const target = jarsDirectory(env);
  const jars = { kafkaDirectory: join(target, 'kafka'), registryDirectory: join(target, 'registry') };
  if (existsSync(target)) return jars;
  const maven = findMaven(env);
  using _lock = await lockWithin(join(cache, 'download.lock'), DOWNLOAD_LIMIT_MS, () =>
    say('waiting for another process to finish the download'),
  );
  if (existsSync(target)) return jars;
  // Only the holder of the lock makes such directories, so any that is here was left by a run that died.
  for (const name of readdirSync(cache).filter((entry) => entry.startsWith('incomplete-'))) {
    rmSync(join(cache, name), { recursive: true, force: true });
  }
  const temporary = mkdtempSync(join(cache, 'incomplete-'));
  try {
    say(`downloading Kafka and the schema registry, about 110 MB, once, into ${target}`);
    await download(maven, join(temporary, 'kafka'), env, say, signal);
    await unpackRegistry(temporary);
    renameSync(temporary, target);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return jars;
}

async function download(
  maven: string,
  directory: string,
  env: Env,
  say: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const goals = ['dependency:copy-dependencies', 'dependency:copy'];
  const args = ['-B', '-f', POM, ...goals, `-DoutputDirectory=${directory}`];
  const child = spawn(maven, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: DOWNLOAD_LIMIT_MS,
    ...(signal === undefined ? {} : { signal }),
  });
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
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code === 0) return;
  const errors = lastLines.filter((line) => line.includes('ERROR')).slice(0, 5);
  throw new SetupError(
    'Maven could not download Kafka and the schema registry. The first start needs the network ' +
      '(or a mirror and proxy in ~/.m2/settings.xml); run it again, it goes on where it was.',
    errors.length > 0 ? errors : lastLines.slice(-5),
  );
}

/** The file and its size out of one line of Maven's output, or null for any other line. */
export function downloadedFile(line: string): string | null {
  const match = /^(?:\[INFO\] )?Downloaded from [^:]*: \S*\/(\S+) \((.+?) at /.exec(line);
  return match === null ? null : `${match[1]} (${match[2]})`;
}

async function unpackRegistry(directory: string): Promise<void> {
  const kafka = join(directory, 'kafka');
  const archive = readdirSync(kafka).find((name) => name.endsWith('.tar.gz'));
  if (archive === undefined) throw new Error(`no registry archive in ${kafka}`);
  const registry = join(directory, 'registry');
  mkdirSync(registry);
  await run('tar', ['-xzf', join(kafka, archive), '-C', registry]);
  rmSync(join(kafka, archive));
}

/** The first tool that a start with these variables would miss on this machine, or null when it would find all. */
export function findMissingTool(env: Env, variables: Env): MissingToolError | null {
  if (variables.KAFKA_BROKERS && variables.SCHEMA_REGISTRY_URL) return null;
  try {
    findJava(env);
    if (!existsSync(jarsDirectory(env))) findMaven(env);
    return null;
  } catch (error) {
    if (error instanceof MissingToolError) return error;
    throw error;
  }
}

/** Named by the pom's digest, so that another version is another download. */
function jarsDirectory(env: Env): string {
  const digest = createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 12);
  return join(cacheDirectory(env), `jars-${digest}`);
}
