import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const CHECK = fileURLToPath(new URL('./check-node.cjs', import.meta.url));

function runAs(version: string) {
  const pretend = join(temporaryDirectory(), 'pretend.cjs');
  writeFileSync(
    pretend,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`,
  );
  const args = ['-r', pretend, '-r', CHECK, '-e', 'console.log("ran")'];
  return spawnSync(process.execPath, args, { encoding: 'utf8' });
}

test('an older Node is told in one line what to do, and nothing runs', () => {
  const { status, stdout, stderr } = runAs('20.20.2');
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain('20.20.2');
  expect(stderr).toContain('npm ci');
});

test('a Node that will do is not told anything', () => {
  expect(runAs('24.0.0')).toMatchObject({ status: 0, stdout: 'ran\n', stderr: '' });
});

test('what Node compiles is kept for the next start, and a place that cannot be written does no harm', () => {
  const folder = temporaryDirectory();
  const start = (cache: string) =>
    spawnSync(process.execPath, ['-r', CHECK, '-e', "import('./shared/runtime/retry.ts')"], {
      encoding: 'utf8',
      env: { XDG_CACHE_HOME: cache },
    });
  expect(start(folder)).toMatchObject({ status: 0, stderr: '' });
  expect(readdirSync(join(folder, 'tandem', 'compiled'))).toHaveLength(1);
  writeFileSync(join(folder, 'file'), '');
  expect(start(join(folder, 'file'))).toMatchObject({ status: 0, stderr: '' });
});

test('every npm script that runs TypeScript checks Node first', () => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> };
  const unchecked = Object.entries(scripts).filter(
    ([, command]) => /\bnode\b.*\.ts\b/.test(command) && !command.includes('-r ./deploy/cli/check-node.cjs'),
  );
  expect(unchecked.map(([name]) => name)).toEqual([]);
});
