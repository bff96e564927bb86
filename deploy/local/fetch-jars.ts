import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EnvHttpProxyAgent, interceptors } from 'undici';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { downloadFile, requireDigest } from './download-file.ts';
import { type LockedFile, readJarLock } from './jar-lock.ts';
import { findJava, findMaven, MissingToolError } from './java.ts';
import { lockWithin } from './lock.ts';
import { copyWithMaven, findCentral, findMirror, type MavenRepository, readRepository } from './maven.ts';

const run = promisify(execFile);

/** A slow line gets everything through in this time; after that something hangs. */
const DOWNLOAD_LIMIT_MS = 20 * 60_000;

const PROGRESS_INTERVAL_MS = 1_000;

/** Files that are fetched at once: one of them is most of the bytes, the others mostly wait for answers. */
const FETCHES_AT_ONCE = 6;

const MAX_REDIRECTS = 5;

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
 * Kafka and the registry, as `jars.lock.json` lists them, downloaded the first time. Later calls need no network.
 *
 * The directory is named by the list's digest and appears in one rename when it is complete and verified, so a run
 * that dies half-way leaves nothing that a later one could take for whole, and what it has fetched is not fetched again.
 *
 * @throws SetupError when there is no way to download, or the download fails, with what to do
 */
export async function fetchJars(env: Env, say: (line: string) => void, signal?: AbortSignal): Promise<Jars> {
  const { text, files } = readJarLock();
  const cache = cacheDirectory(env);
  const target = jarsDirectory(env, text);
  const jars = { kafkaDirectory: join(target, 'kafka'), registryDirectory: join(target, 'registry') };
  if (existsSync(target)) return jars;
  const way = await chooseWay(env);
  using _lock = await lockWithin(join(cache, 'download.lock'), DOWNLOAD_LIMIT_MS, () =>
    say('waiting for another process to finish the download'),
  );
  if (existsSync(target)) return jars;
  const incomplete = join(cache, `incomplete-${digestOf(text)}`);
  // Only the holder of the lock makes such directories, so any other that is here was left by a run with another list.
  for (const name of readdirSync(cache).filter((entry) => entry.startsWith('incomplete-'))) {
    if (join(cache, name) !== incomplete) rmSync(join(cache, name), { recursive: true, force: true });
  }
  const directory = join(incomplete, 'kafka');
  mkdirSync(directory, { recursive: true });
  say(`downloading Kafka and the schema registry, ${showMb(sizeOf(files))}, once, into ${target}`);
  const limit = new AbortController();
  const tooLong = new SetupError(
    `the download was not complete after ${DOWNLOAD_LIMIT_MS / 60_000} minutes; run it again, what is there already is kept`,
  );
  const timer = setTimeout(() => limit.abort(tooLong), DOWNLOAD_LIMIT_MS);
  using _timer = { [Symbol.dispose]: () => clearTimeout(timer) };
  const limited = AbortSignal.any([limit.signal, ...(signal ? [signal] : [])]);
  if ('repository' in way) await downloadAll(files, directory, way.repository, say, limited);
  else {
    await copyWithMaven(way.maven, directory, { env, say, signal: limited });
    await requireAll(files, directory);
  }
  await unpackRegistry(incomplete);
  renameSync(incomplete, target);
  return jars;
}

type Way = { readonly repository: MavenRepository } | { readonly maven: string };

/** The repository that a setting names; else Maven, which has its own settings; else their mirror; else Maven Central. */
async function chooseWay(env: Env): Promise<Way> {
  const named = readRepository(env);
  if (named !== undefined) return { repository: named };
  const maven = findMaven(env);
  if (maven !== undefined) return { maven };
  return { repository: findMirror(env) ?? (await findCentral()) };
}

/** Fetches all files of the list, several at once, and tells how many bytes are there. @throws SetupError of the first that fails */
export async function downloadAll(
  files: readonly LockedFile[],
  directory: string,
  repository: MavenRepository,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const total = sizeOf(files);
  const bytesOf = new Map<string, number>();
  let saidAtMs = Date.now();
  const progress = (fileName: string, count: number) => {
    bytesOf.set(fileName, count);
    if (Date.now() - saidAtMs < PROGRESS_INTERVAL_MS) return;
    saidAtMs = Date.now();
    const bytes = [...bytesOf.values()].reduce((sum, one) => sum + one, 0);
    say(`  ${Math.floor((100 * bytes) / total)} %, ${showMb(bytes)} of ${showMb(total)}`);
  };
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  const agent = new EnvHttpProxyAgent();
  const dispatcher = agent.compose(interceptors.redirect({ maxRedirections: MAX_REDIRECTS }));
  // The large ones first: the line is full to the end.
  const queue = files.toSorted((a, b) => b.size - a.size);
  const work = async () => {
    for (let file = queue.shift(); file !== undefined && !stop.aborted; file = queue.shift()) {
      const { fileName } = file;
      await downloadFile(file, join(directory, fileName), {
        repository,
        dispatcher,
        onBytes: (count) => progress(fileName, count),
        signal: stop,
      });
    }
  };
  try {
    await Promise.allSettled(
      Array.from({ length: FETCHES_AT_ONCE }, () => work().catch((error: unknown) => failure.abort(error))),
    );
    stop.throwIfAborted();
  } finally {
    await agent.destroy();
  }
}

/** @throws SetupError naming a file that is missing, or that is another than the list says */
async function requireAll(files: readonly LockedFile[], directory: string): Promise<void> {
  for (const file of files) {
    const path = join(directory, file.fileName);
    if (!existsSync(path)) {
      throw new SetupError(
        `Maven brought no ${file.fileName}: pom.xml and jars.lock.json differ; "npm run lock:jars" writes the list again`,
      );
    }
    await requireDigest(file, path, 'Maven');
  }
  const unlisted = readdirSync(directory).filter((name) => !files.some(({ fileName }) => fileName === name));
  for (const name of unlisted) rmSync(join(directory, name), { force: true });
}

async function unpackRegistry(directory: string): Promise<void> {
  const kafka = join(directory, 'kafka');
  const archive = readdirSync(kafka).find((name) => name.endsWith('.tar.gz'));
  if (archive === undefined) throw new Error(`no registry archive in ${kafka}`);
  const registry = join(directory, 'registry');
  rmSync(registry, { recursive: true, force: true });
  mkdirSync(registry);
  await run('tar', ['-xzf', join(kafka, archive), '-C', registry]);
  rmSync(join(kafka, archive));
}

/** The tool that a start with these variables would miss on this machine, or null when it would find all. */
export function findMissingTool(env: Env, variables: Env): MissingToolError | null {
  if (variables.KAFKA_BROKERS && variables.SCHEMA_REGISTRY_URL) return null;
  try {
    findJava(env);
    return null;
  } catch (error) {
    if (error instanceof MissingToolError) return error;
    throw error;
  }
}

/** Named by the list's digest, so that another version is another download. */
function jarsDirectory(env: Env, lockText: string): string {
  return join(cacheDirectory(env), `jars-${digestOf(lockText)}`);
}

function digestOf(lockText: string): string {
  return createHash('sha256').update(lockText).digest('hex').slice(0, 12);
}

function sizeOf(files: readonly LockedFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

function showMb(bytes: number): string {
  return `${Math.round(bytes / 1_000_000)} MB`;
}
