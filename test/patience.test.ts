import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** A test waits for a condition, and fails after minutes: on a busy machine whatever comes, comes late. */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TESTS = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  .toString()
  .split('\n')
  .filter((path) => path.endsWith('.ts') && path !== 'test/patience.test.ts' && existsSync(join(ROOT, path)))
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));

const found = (files: readonly { path: string; text: string }[], pattern: RegExp) =>
  files.flatMap(({ path, text }) => [...text.matchAll(pattern)].map(([match]) => `${path}: ${match.trim()}`));

test('what is waited for has the time that test/support/wait-for.ts gives, and not the second of Vitest', () => {
  expect(found(TESTS, /\bvi\.wait(?:For|Until)\(|\.poll\([^)]*timeout/g)).toEqual([]);
});

test.each([
  ['against real parts', /^test\/(?:integration|e2e|pages)\//, 300_000],
  ['of a unit', /^(?:services|shared|deploy|schemas)\/.*\.test\.ts$/, 120_000],
])('no test %s has less time than its project gives', (_, place, least) => {
  const files = TESTS.filter(({ path }) => place.test(path));
  const limits = found(files, /^\}, [\d_]+\);$|^ {2}[\d_]+,\n\);$|setConfig\(.*\)/gm);
  const limitOf = (line: string) => Number(/[\d_]{4,}\D*$/.exec(line)?.[0].replaceAll(/\D/g, ''));
  expect(limits.filter((line) => limitOf(line) < least)).toEqual([]);
});
