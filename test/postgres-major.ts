import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChildGroup } from '../deploy/local/child-group.ts';
import { startPostgres } from '../deploy/local/postgres.ts';
import { startStack } from '../deploy/local/stack.ts';
import { silentLog } from '../shared/runtime/log.ts';
import { stackVariables } from './support/stack-variables.ts';
import { summaryLine } from './support/summary-reporter.ts';

const MAJORS: readonly number[] = [15, 16, 17];

/** What speaks to the source: its catalogs, its WAL, its rows and its locks. What waits for others more than it asks is left out. */
const TESTS: readonly string[] = [
  'capture/account-spellings.pg',
  'bulk/filters.pg',
  'bulk/jobs.pg',
  'bulk/numbers.pg',
  'bulk/sync.pg',
  'capture/bulk-job.kafka',
  'capture/changes.kafka',
  'capture/ddl-property.kafka',
  'capture/renames.kafka',
  'capture/set-aside.kafka',
  'capture/tables.kafka',
  'capture/where.kafka',
  'source/catalog-check.pg',
  'source/catalog-documint.pg',
  'source/catalog-init.pg',
  'extractor/changes-since.pg',
  'extractor/related.pg',
  'extractor/shared-sources.pg',
  'extractor/snapshot.pg',
  'extractor/extractor.kafka',
  'source/key-spellings.pg',
  'source/product-at-work.pg',
  'source/product-beside-tandem.kafka',
  'source/products.pg',
  'source/row-filter.pg',
  'source/role-rights.pg',
  'source/sessions.pg',
  'source/shapes.pg',
  'source/slot-safety.pg',
  'source/table-forms.pg',
  'source/values.pg',
];

const FILES = TESTS.map((name) => `test/integration/${name}.test.ts`);

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/**
 * `npm run test:postgres -- 15 17`: those tests against a server of each major, which is started for them; without a major, all.
 * Kafka and the registry are started once, or are those of TEST_KAFKA_BROKERS and TEST_SCHEMA_REGISTRY_URL.
 */
async function main(majors: readonly number[]): Promise<Counts> {
  await using cleanup = new AsyncDisposableStack();
  const openHome = (label: string) => {
    const home = mkdtempSync(join(tmpdir(), `tandem-${label}-`));
    // PostgreSQL runs as another user when the tests run as root, and has to get in.
    chmodSync(home, 0o755);
    cleanup.defer(() => rmSync(home, { recursive: true, force: true }));
    return home;
  };
  const home = openHome('postgres-majors');
  const group = cleanup.use(createChildGroup(join(home, 'run')));
  const urls = new Map<number, string>();
  for (const major of majors) {
    const server = await startPostgres({
      home: openHome(`postgres-${major}`),
      group,
      major,
      logPath: join(home, `postgres-${major}.log`),
      databases: ['product'],
      settings: { shared_buffers: '64MB' },
    });
    urls.set(major, server.url('product'));
  }
  const [firstUrl] = urls.values();
  const env = { ...process.env, ...stackVariables(process.env), DATABASE_URL: firstUrl };
  const stack = cleanup.use(
    await startStack({ home: openHome('postgres-stack'), env, log: silentLog, say: console.log }),
  );
  let sum: Counts = { passed: 0, failed: 0 };
  for (const [major, url] of urls) {
    console.log(`PostgreSQL ${major}`);
    const { passed, failed } = await runTests({
      ...process.env,
      TEST_POSTGRES_URL: url,
      TEST_KAFKA_BROKERS: stack.kafkaBrokers,
      TEST_SCHEMA_REGISTRY_URL: stack.schemaRegistryUrl,
    });
    sum = { passed: sum.passed + passed, failed: sum.failed + failed };
  }
  return sum;
}

/** Shows what the tests print, and reads the counts from their last line. */
async function runTests(env: NodeJS.ProcessEnv): Promise<Counts> {
  const args = ['vitest', 'run', '--config', 'test/vitest.config.ts', '--project', 'integration', ...FILES];
  const tests = spawn('npx', args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  let tail = '';
  tests.stdout.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk);
    tail = (tail + chunk.toString()).slice(-1_000);
  });
  const code = await new Promise<number>((resolve) => tests.on('close', (exit) => resolve(exit ?? 1)));
  const counts = /(\d+) passed, (\d+) failed\s*$/.exec(tail);
  const [passed, failed] = [Number(counts?.[1] ?? 0), Number(counts?.[2] ?? 0)];
  // A run that ends badly without a failed test has failed all the same.
  return { passed, failed: code === 0 ? failed : Math.max(failed, 1) };
}

const asked = process.argv.slice(2).map(Number);
if (!asked.every((major) => MAJORS.includes(major))) {
  console.error(`usage: npm run test:postgres -- [${MAJORS.join('] [')}]`);
  process.exit(2);
}
// Vitest passes over a file that is not there.
const gone = FILES.filter((path) => !existsSync(path));
if (gone.length > 0) {
  console.error(`the list of tests names files that do not exist: ${gone.join(', ')}`);
  process.exit(2);
}
const { passed, failed } = await main(asked.length === 0 ? MAJORS : asked);
console.log(summaryLine(passed, failed));
process.exitCode = failed === 0 ? 0 : 1;
