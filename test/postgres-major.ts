import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChildGroup } from '../deploy/local/child-group.ts';
import { startPostgres } from '../deploy/local/postgres.ts';

/** Those that touch the source in a way that may differ from one major to the next. */
const TESTS = ['sessions.pg', 'catalog-check.pg', 'product-at-work.pg'];

/** `npm run test:postgres -- 15`: those tests against a server of that major, which is started for them. */
async function main(major: number): Promise<number> {
  const home = mkdtempSync(join(tmpdir(), `tandem-postgres-${major}-`));
  chmodSync(home, 0o755);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(home, { recursive: true, force: true }));
  const group = cleanup.use(createChildGroup(join(home, 'run')));
  const server = await startPostgres({
    home,
    group,
    major,
    logPath: join(home, 'postgres.log'),
    databases: ['product'],
  });
  const files = TESTS.map((name) => `test/integration/${name}.test.ts`);
  const args = ['vitest', 'run', '--config', 'test/vitest.config.ts', '--project', 'integration', ...files];
  const tests = spawn('npx', args, {
    stdio: 'inherit',
    env: { ...process.env, TEST_POSTGRES_URL: server.url('product') },
  });
  return await new Promise<number>((resolve) => tests.on('exit', (code) => resolve(code ?? 1)));
}

const major = Number(process.argv[2]);
if (![15, 16, 17].includes(major)) {
  console.error('usage: npm run test:postgres -- 15|16|17');
  process.exit(2);
}
process.exitCode = await main(major);
