import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { cacheDirectory } from '../../deploy/local/fetch-jars.ts';
import { choosePort } from '../../deploy/local/ports.ts';
import { MONITORING } from './monitoring-files.ts';
import { waitFor } from './wait-for.ts';

export interface Prometheus {
  /** The program of the server. */
  readonly server: string;
  /** Runs its checker, `promtool`. @returns its exit code and all that it printed */
  check(args: readonly string[], input?: string): { code: number | null; output: string };
}

const FETCH_LIMIT_MS = 300_000;

/**
 * The Prometheus of this machine, or that of Debian's package, which is unpacked once into the cache and not installed. A machine
 * without either is told what it skips; in CI a skipped test would pass for a tested one, so there it is an error.
 */
export function findPrometheus(): Prometheus | undefined {
  const isInstalled = ['prometheus', 'promtool'].every(
    (program) => spawnSync(program, ['--version']).status === 0,
  );
  const folder = join(cacheDirectory(process.env), 'prometheus');
  const programOf = (name: string) => (isInstalled ? name : join(folder, 'usr/bin', name));
  try {
    if (!isInstalled && !existsSync(programOf('promtool'))) unpack(folder);
  } catch (cause) {
    const needed = "Debian's package prometheus";
    if (process.env.CI === 'true') throw new Error(`the tests of the monitoring need ${needed}`, { cause });
    console.warn(`skipping tests of the monitoring: they need ${needed}`);
    return undefined;
  }
  return {
    server: programOf('prometheus'),
    check(args, input = '') {
      const { status, stdout, stderr } = spawnSync(programOf('promtool'), args, { input, encoding: 'utf8' });
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

const PREFERRED_PORT = 19_090;

interface ScrapeConfig {
  authorization?: { credentials_file: string };
  static_configs: { targets: string[]; labels: { component: string } }[];
}

export interface RunningPrometheus extends AsyncDisposable {
  /** Of each series of an instant query its labels and value. @throws when it cannot be evaluated */
  query(expr: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]>;
}

/**
 * A server that scrapes by `deploy/monitoring/prometheus.yml`, each second, with the alert rules.
 *
 * @param targetOf `host:port` of a service
 */
export async function startPrometheus(
  { server }: Prometheus,
  adminKey: string,
  targetOf: (service: string) => string,
): Promise<RunningPrometheus> {
  await using cleanup = new AsyncDisposableStack();
  const home = mkdtempSync(join(tmpdir(), 'tandem-prometheus-'));
  cleanup.defer(() => rmSync(home, { recursive: true, force: true }));
  const config = parse(readFileSync(`${MONITORING}prometheus.yml`, 'utf8')) as {
    global: Record<string, string>;
    rule_files: string[];
    scrape_configs: ScrapeConfig[];
  };
  config.global = { scrape_interval: '1s', evaluation_interval: '1s' };
  config.rule_files = config.rule_files.map((file) => MONITORING + file);
  for (const { static_configs: all } of config.scrape_configs) {
    for (const each of all) each.targets = [targetOf(each.labels.component)];
  }
  writeFileSync(join(home, 'prometheus.yml'), stringify(config));
  writeFileSync(join(home, 'admin-key'), adminKey);
  const port = await choosePort(PREFERRED_PORT);
  const child = spawn(
    server,
    [
      `--config.file=${home}/prometheus.yml`,
      `--storage.tsdb.path=${home}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  cleanup.defer(async () => {
    if (child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  const url = `http://127.0.0.1:${port}`;
  await waitFor('Prometheus to be ready', async () => {
    if (child.exitCode !== null) throw new Error(`Prometheus ended with code ${child.exitCode}`);
    return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok === true;
  });
  const resources = cleanup.move();
  return {
    async query(expr) {
      const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expr)}`);
      const answer = (await response.json()) as { error?: string; data?: { result: never[] } };
      if (answer.data === undefined) throw new Error(`${expr}: ${answer.error}`);
      return answer.data.result;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
