import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { toRepositoryPath } from './jar-lock.ts';

// What Maven brings: by Maven itself, or from the repository that it is set to, or that everybody has.

/** A Maven repository that is asked without Maven. */
export interface MavenRepository {
  /** Without a login and without a slash at the end. */
  readonly url: string;
  readonly authorization?: string;
}

/** The repository that `TANDEM_MAVEN_REPOSITORY` names. @throws SetupError when it is no URL of one */
export function readRepository(env: Env): MavenRepository | undefined {
  const text = env.TANDEM_MAVEN_REPOSITORY?.trim();
  return text ? toRepository(text, 'TANDEM_MAVEN_REPOSITORY') : undefined;
}

/** The mirror of Maven Central in the user's own settings of Maven, for a machine without Maven. */
export function findMirror(env: Env, home = homedir()): MavenRepository | undefined {
  const path = join(env.HOME || home, '.m2', 'settings.xml');
  let xml: string;
  try {
    xml = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const url = mirrorOfCentral(xml);
  return url === undefined ? undefined : toRepository(url, `the mirror in ${path}`);
}

/** Maven Central. Its address is that of the package, which names it for everybody. */
export async function findCentral(): Promise<MavenRepository> {
  // Loaded here, because few starts need it. By `require`, because test runners unwrap its default otherwise than Node.
  const { default: artifactUrl } = createRequire(import.meta.url)(
    'mvn-artifact-url',
  ) as typeof import('mvn-artifact-url');
  const { path } = toRepositoryPath(`${ANY.groupId}:${ANY.artifactId}:${ANY.version}`);
  const url = await artifactUrl(ANY);
  return toRepository(url.slice(0, url.length - path.length), 'mvn-artifact-url');
}

const ANY = { groupId: 'junit', artifactId: 'junit', version: '4.13.2', extension: 'jar' };

/** The URL of the first `<mirror>` that stands for Maven Central, as Maven chooses it; one that is blocked never does. */
export function mirrorOfCentral(xml: string): string | undefined {
  const mirrors = [...xml.replace(/<!--[\s\S]*?-->/g, '').matchAll(/<mirror>([\s\S]*?)<\/mirror>/g)];
  const found = mirrors.find(
    ([, mirror = '']) => standsForCentral(textOf(mirror, 'mirrorOf')) && textOf(mirror, 'blocked') !== 'true',
  );
  return found === undefined ? undefined : textOf(found[1] ?? '', 'url');
}

/** Central is another machine's, and reached by https. */
function standsForCentral(mirrorOf: string): boolean {
  const patterns = mirrorOf.split(',').map((pattern) => pattern.trim());
  if (patterns.includes('!central')) return false;
  return patterns.some((pattern) => ['central', '*', 'external:*'].includes(pattern));
}

function textOf(xml: string, tag: string): string {
  const text = new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1] ?? '';
  return text.trim().replaceAll('&amp;', '&');
}

function toRepository(text: string, source: string): MavenRepository {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new SetupError(
      `${source} must be the http or https address of a Maven repository, without a query`,
    );
  }
  const login = [url.username, url.password].map(decodeURIComponent);
  url.username = '';
  url.password = '';
  const address = url.href.replace(/\/+$/, '');
  if (login.every((part) => part === '')) return { url: address };
  return { url: address, authorization: `Basic ${Buffer.from(login.join(':')).toString('base64')}` };
}

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
