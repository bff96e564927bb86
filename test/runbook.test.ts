import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const RUNBOOK = read('deploy/README.md');

const CODE = execFileSync('git', ['ls-files', 'services', 'shared', 'deploy'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => /\.(ts|sql)$/.test(path) && !path.endsWith('.test.ts'))
  .map((path) => ({ path, text: read(path) }));

/** The names in the first cells of the tables under a heading. */
function namesUnder(heading: string): string[] {
  const [, section = ''] = RUNBOOK.split(`\n${heading}\n`);
  const [rows = ''] = section.split(/\n#+ /);
  return rows
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
}

const literalsOf = (text: string) => [...text.matchAll(/'([a-z_]+)'/g)].map(([, name = '']) => name);

/** The members of a union of literals. */
function membersOf(path: string, type: string): string[] {
  const [, union = ''] = new RegExp(`type ${type} =([^;]+);`).exec(read(path)) ?? [];
  return literalsOf(union);
}

const isSaidIn = (name: string) => CODE.some(({ text }) => text.includes(`'${name}'`));

test('every code that an export fails with is in the runbook, which has no other', () => {
  const ofWriter = CODE.filter(({ path }) => path.startsWith('services/writer/')).flatMap(({ text }) =>
    [...text.matchAll(/\bcode: '([a-z_]+)'/g)].map(([, code = '']) => code),
  );
  const codes = [...membersOf('services/extractor/extraction-errors.ts', 'FailureCode'), ...ofWriter];
  expect(codes.length).toBeGreaterThan(25);
  const named = namesUnder('### Export error codes');
  expect([...new Set(codes)].filter((code) => !named.includes(code))).toEqual([]);
  expect(named.filter((code) => !codes.includes(code) && !isSaidIn(code))).toEqual([]);
});

test('every reason of a gap is in the runbook, and no other', () => {
  const reasons = membersOf('services/capture/publish/resume.ts', 'GapReason');
  expect(reasons.length).toBeGreaterThan(4);
  const named = namesUnder('### Gap possible').filter((name) => name !== 'reason');
  expect(named.toSorted()).toEqual(reasons.toSorted());
});

test('codes of bulk jobs in the runbook are those that there are', () => {
  const named = namesUnder('### Bulk job error codes');
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((code) => !isSaidIn(code))).toEqual([]);
});

test('log lines in the runbook are those that there are', () => {
  const logged = CODE.flatMap(({ text }) => [...text.matchAll(/['`]([a-z_${}]+\.[a-z_]+)['`]/g)]).map(
    ([, name = '']) => name.replace(/\$\{\w+\}/, 'any'),
  );
  const named = ['### Errors in the logs', '### Warnings in the logs']
    .flatMap(namesUnder)
    .filter((name) => name.includes('.'));
  expect(named.length).toBeGreaterThan(90);
  const gone = named.filter((name) => {
    const pattern = new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
    return !logged.some((event) => pattern.test(event));
  });
  expect(gone).toEqual([]);
});
