import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { SERVICE_CONFIGS } from '../../deploy/cli/declared-settings.ts';
import { kafkaProperties } from '../../deploy/local/kafka.ts';
import { type Env, envReader } from '../../shared/runtime/env.ts';
import { SETTINGS } from '../../shared/runtime/settings.ts';

const FOLDER = fileURLToPath(new URL('../../deploy/compose/', import.meta.url));

const hasCompose = spawnSync('docker-compose', ['--version']).status === 0;
if (!hasCompose) {
  const text = 'the test of the compose file needs docker-compose';
  if (process.env.CI === 'true') throw new Error(text);
  console.warn(`skipping: ${text}`);
}

interface Service {
  readonly image: string;
  readonly command?: readonly string[] | string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly deploy: { readonly resources: { readonly limits: { readonly memory: string } } };
  readonly read_only?: boolean;
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

const directory = mkdtempSync(join(tmpdir(), 'tandem-compose-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What docker-compose makes of the file, with this `.env` beside it. */
function config(env: string): { status: number | null; stderr: string; services: Record<string, Service> } {
  cpSync(FOLDER, directory, { recursive: true });
  writeFileSync(join(directory, '.env'), env);
  const { status, stdout, stderr } = spawnSync('docker-compose', ['-f', 'compose.yaml', 'config'], {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return { status, stderr, services: status === 0 ? parse(stdout).services : {} };
}

const example = readFileSync(join(FOLDER, 'example.env'), 'utf8');
const filled = example.replace(
  /^([A-Z_]+)=$/gm,
  (_, name) => `${name}=${name.toLowerCase()}${'0123456789abcdef'.repeat(2)}`,
);

const OURS = Object.keys(SERVICE_CONFIGS).sort();
const JOBS = ['migrate', 'prepare', 'topics'];

test.runIf(hasCompose)(
  'docker-compose accepts the file with the example, once its secrets are filled in',
  () => {
    const { status, stderr, services } = config(filled);
    expect([status, stderr]).toEqual([0, '']);
    const others = ['grafana', 'kafka', 'postgres', 'prometheus', 'registry', 's3'];
    expect(Object.keys(services).sort()).toEqual([...OURS, ...JOBS, ...others].sort());
    for (const [name, service] of Object.entries(services)) {
      expect(service.deploy.resources.limits.memory, name).toMatch(/^\d+/);
      if (!JOBS.includes(name)) expect(service.healthcheck?.test, name).toBeDefined();
      if (![...OURS, ...JOBS].includes(name))
        expect(service.image, name).toMatch(/^docker\.io\/.+:v?\d+\.\d/);
    }
  },
);

test.runIf(hasCompose)('a secret that is not set is asked for by its name', () => {
  const { status, stderr } = config(filled.replace(/^SECRET_KEY=.*$/m, ''));
  expect(status).not.toBe(0);
  expect(stderr).toContain('SECRET_KEY');
});

test('the file itself holds no secret', () => {
  const text = readFileSync(join(FOLDER, 'compose.yaml'), 'utf8');
  const values = [...text.matchAll(/^\s*\w*(?:PASSWORD|SECRET_KEY|ADMIN_KEY|SECRET_ACCESS_KEY): (.*)$/gm)];
  expect(values.length).toBeGreaterThan(5);
  for (const [line, value] of values) expect(value, line).toMatch(/^\$\{\w+:\?/);
});

test.runIf(hasCompose)(
  'every service starts with its settings, after the jobs, and writes nothing but its volumes',
  () => {
    const { services } = config(filled);
    for (const name of OURS) {
      const { environment = {}, read_only: isReadOnly, depends_on: after = {} } = services[name] as Service;
      expect(environment.SERVICE).toBe(name);
      expect(environment.DATABASE_URL).toMatch(/:\/\/postgres:postgres_password[0-9a-f]+@postgres:/);
      const known = new Set([
        ...Object.keys(SETTINGS),
        'SERVICE',
        'AWS_ACCESS_KEY_ID',
        'AWS_SECRET_ACCESS_KEY',
      ]);
      expect(Object.keys(environment).filter((variable) => !known.has(variable))).toEqual([]);
      const readConfig = SERVICE_CONFIGS[name];
      expect(() => readConfig?.(environment as Env, envReader(environment))).not.toThrow();
      expect(isReadOnly).toBe(true);
      for (const job of JOBS) expect(after[job]?.condition).toBe('service_completed_successfully');
    }
  },
);

test.runIf(hasCompose)('a table that one resource is refused for keeps no service from starting', () => {
  // What it does is tested with a real source, beside the rights of roles.
  expect(config(filled).services.prepare?.command).toEqual(['source', 'prepare', '--allow-refused']);
});

test('Kafka holds records as large as that of `npm start`, and creates no topic by itself', () => {
  copyFileSync(join(FOLDER, 'compose.yaml'), join(directory, 'compose.yaml'));
  const { services } = parse(readFileSync(join(directory, 'compose.yaml'), 'utf8'), { merge: true });
  const ours = Object.entries((services.kafka as Service).environment ?? {}).map(
    ([name, value]) =>
      [
        name
          .replace(/^KAFKA_/, '')
          .toLowerCase()
          .replaceAll('_', '.'),
        value,
      ] as const,
  );
  const local = new Map(
    kafkaProperties('/data', 9092, 9093)
      .split('\n')
      .map((line) => line.split(/=(.*)/s, 2) as [string, string]),
  );
  const shared = ours.filter(([name]) =>
    /(max\.bytes|replication\.factor|min\.isr|auto\.create.*)$/.test(name),
  );
  expect(shared).toHaveLength(7);
  for (const [name, value] of shared) expect(value, name).toBe(local.get(name));
});

test('Prometheus asks every service for its metrics', () => {
  const { services } = parse(readFileSync(join(FOLDER, 'compose.yaml'), 'utf8'), { merge: true });
  const [, from = '', to = ''] =
    /sed -i 's\/(.*?)\/(.*?)\/'/.exec(String(services.prometheus.entrypoint)) ?? [];
  const text = readFileSync(join(FOLDER, '../monitoring/prometheus.yml'), 'utf8').replaceAll(from, to);
  const { scrape_configs: jobs } = parse(text) as {
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  const targets = jobs.flatMap(({ static_configs: groups }) => groups.flatMap((group) => group.targets));
  expect(targets.sort()).toEqual(OURS.map((name) => `${name}:8080`));
});
