import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { createChildGroup } from '../../deploy/local/child-group.ts';
import { cacheDirectory } from '../../deploy/local/fetch-jars.ts';
import { lockWithin } from '../../deploy/local/lock.ts';
import { choosePort } from '../../deploy/local/ports.ts';
import { waitUntilUp } from '../../deploy/local/wait-until-up.ts';

const MODULE = 'github.com/versity/versitygw/cmd/versitygw';
const VERSION = 'v1.8.0';

/** From 1.21 on, Go fetches by itself the newer Go that a module asks for. */
const MIN_GO_MINOR = 21;

/** The build takes a third less CPU time (84 s for 123), and the tests are bound by other things. */
const UNOPTIMISED = ['-gcflags=all=-N -l', '-ldflags=-s -w'];

const PREFERRED_PORT = 17_070;
const START_LIMIT_MS = 30_000;
const PROGRESS_INTERVAL_MS = 10_000;

/** What a set-up that may have to build the gateway needs: minutes on two busy cores, once for all runs of a user. */
export const BUILD_LIMIT_MS = 20 * 60_000;

/** An S3 server of this test's own. Nothing of it is left after disposal. */
export interface Versitygw extends AsyncDisposable {
  readonly endpoint: string;
  /** What a service needs in its environment to use it. */
  readonly credentials: Readonly<Record<'AWS_ACCESS_KEY_ID' | 'AWS_SECRET_ACCESS_KEY', string>>;
  /** A client of the test's own, for looking behind the storage. */
  readonly client: S3Client;
  /** Makes a bucket and returns its name. */
  createBucket(): Promise<string>;
}

/**
 * Whether the gateway can be had on this machine. Without it the S3 tests are skipped, saying so; in CI that
 * would pass for a tested storage, so there it is an error.
 */
export function hasVersitygw(): boolean {
  if (existsSync(binaryPath()) || hasGo()) return true;
  const message = `Go 1.${MIN_GO_MINOR} or newer is needed once, to build the S3 server that storage is tested on`;
  if (process.env.CI === 'true') throw new Error(message);
  console.warn(`skipping the S3 tests: ${message}`);
  return false;
}

export async function startVersitygw(): Promise<Versitygw> {
  const binary = await buildOnce((line) => console.log(line));
  await using cleanup = new AsyncDisposableStack();
  const home = mkdtempSync(join(tmpdir(), 'tandem-s3-'));
  cleanup.defer(() => rmSync(home, { recursive: true, force: true }));
  const [data, metadata] = [join(home, 'data'), join(home, 'metadata')];
  for (const directory of [data, metadata]) mkdirSync(directory);
  const group = cleanup.use(createChildGroup(join(home, 'run')));
  const endpoint = `http://127.0.0.1:${await choosePort(PREFERRED_PORT)}`;
  const accessKeyId = 'tandem-test';
  const secretAccessKey = randomBytes(20).toString('hex');
  const child = group.spawn({
    name: 'versitygw',
    command: binary,
    // Not every temporary directory's file system has the extended attributes that it would keep metadata in.
    args: ['--port', new URL(endpoint).host, '--health', '/health', 'posix', '--sidecar', metadata, data],
    env: { PATH: '/usr/bin:/bin', ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
    cwd: home,
    logPath: join(home, 'versitygw.log'),
  });
  const probe = async () => {
    const response = await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(3_000) });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`status ${response.status}`);
  };
  await waitUntilUp(child, probe, START_LIMIT_MS);
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  cleanup.defer(() => client.destroy());
  const resources = cleanup.move();
  return {
    endpoint,
    credentials: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    client,
    async createBucket() {
      const bucket = `tandem-${randomBytes(5).toString('hex')}`;
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      return bucket;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function binaryPath(): string {
  return join(cacheDirectory(process.env), `versitygw-${VERSION}`);
}

function hasGo(): boolean {
  try {
    const version = /\bgo1\.(\d+)/.exec(execFileSync('go', ['version'], { encoding: 'utf8' }));
    return Number(version?.[1] ?? 0) >= MIN_GO_MINOR;
  } catch {
    return false;
  }
}

/** Builds beside its place and moves it there when it is whole, one process at a time. */
async function buildOnce(say: (line: string) => void): Promise<string> {
  const binary = binaryPath();
  if (existsSync(binary)) return binary;
  const cache = cacheDirectory(process.env);
  using _lock = await lockWithin(join(cache, 'versitygw.lock'), BUILD_LIMIT_MS, () =>
    say('waiting for another process to build versitygw'),
  );
  if (existsSync(binary)) return binary;
  const directory = join(cache, 'versitygw-unfinished');
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  try {
    say(`building versitygw ${VERSION}, once, into ${cache}; this takes minutes`);
    await goInstall(directory, say);
    renameSync(join(directory, 'versitygw'), binary);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return binary;
}

async function goInstall(directory: string, say: (line: string) => void): Promise<void> {
  const child = spawn('go', ['install', '-v', ...UNOPTIMISED, `${MODULE}@${VERSION}`], {
    cwd: directory,
    env: { ...process.env, GOBIN: directory, CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: BUILD_LIMIT_MS,
  });
  const lastLines: string[] = [];
  let packageCount = 0;
  createInterface(child.stderr).on('line', (line) => {
    lastLines.push(line);
    if (lastLines.length > 10) lastLines.shift();
    if (!line.startsWith('go: ')) packageCount += 1;
  });
  const progress = setInterval(() => {
    say(`  ${packageCount} packages built; ${lastLines.at(-1) ?? ''}`);
  }, PROGRESS_INTERVAL_MS);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`go install ended with ${code}:\n${lastLines.join('\n')}`);
  } finally {
    clearInterval(progress);
  }
}
