import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { membersOf } from '../../../schemas/clients/typescript/src/raw-json.ts';
import { isVisible, type Snapshot } from '../../../shared/domain/snapshot.ts';
import { hasPython } from '../../../test/support/python.ts';

const FOLDER = new URL('./guides/', import.meta.url);
const ROOT = new URL('../../../', import.meta.url);

/** All code of the guides, with where it stands. */
const BLOCKS = readdirSync(FOLDER).flatMap((file) => {
  const text = readFileSync(new URL(file, FOLDER), 'utf8');
  return [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language = '', code = ''], index) => ({
    at: `${file}, block ${index + 1}`,
    language,
    code,
  }));
});

const codesIn = (language: string) => BLOCKS.filter((block) => block.language === language);

const run = promisify(execFile);

test('the code of the guides can be read by what it is written for', async () => {
  expect(BLOCKS.length).toBeGreaterThan(30);
  for (const { at, code } of codesIn('json')) expect(() => JSON.parse(code), at).not.toThrow();
  for (const { at, code } of codesIn('typescript')) {
    // A guide may leave out what a function around it would declare.
    expect(
      () => stripTypeScriptTypes(`async () => {${code.replace(/^import .*$|^export /gm, '')}}`),
      at,
    ).not.toThrow();
  }
  for (const { at, code } of codesIn('bash')) {
    await expect(run('bash', ['-n', '-c', code]), at).resolves.toMatchObject({ stderr: '' });
  }
});

test.skipIf(!hasPython())('the Python of the guides can be compiled', async () => {
  const compile = 'import json, sys\nfor at, code in json.loads(sys.argv[1]): compile(code, at, "exec")';
  const blocks = codesIn('python').map(({ at, code }) => [at, code]);
  expect(blocks.length).toBeGreaterThan(5);
  await expect(run('python3', ['-c', compile, JSON.stringify(blocks)])).resolves.toBeDefined();
});

test.skipIf(!hasPython())('the visibility filter in Python decides as Tandem does', async () => {
  const guide = codesIn('python').find(({ code }) => code.includes('def is_visible'))?.code ?? '';
  const body = /def is_visible[\s\S]*?\n\n\n/.exec(guide)?.[0] ?? '';
  const snapshot: Snapshot = { xmin: 10n, xmax: 20n, xip: [12n, 15n] };
  const xids = Array.from({ length: 25 }, (_, index) => index);
  // As an export shows its snapshot.
  const shown = { xmin: '10', xmax: '20', xip: ['12', '15'] };
  const script = `import json, sys\n${body}
xids, snapshot = json.loads(sys.argv[1])
print(json.dumps([is_visible(xid, snapshot) for xid in xids]))`;
  const { stdout } = await run('python3', ['-c', script, JSON.stringify([xids, shown])]);
  expect(JSON.parse(stdout)).toEqual(xids.map((xid) => isVisible(BigInt(xid), snapshot)));
});

test.skipIf(!hasPython())('the digests of the guide are those of its code in both languages', async () => {
  const codes = BLOCKS.filter(({ at }) => at.startsWith('verify.md'));
  const codeIn = (language: string) =>
    codes.find(({ language: its, code }) => its === language && /digest_?of|records/i.test(code))?.code ?? '';
  const { records, sum } = JSON.parse(codeIn('json')) as {
    records: { record: string; bucket: number; digest: string }[];
    sum: string;
  };
  const members = records.map(({ record }) => [...membersOf(record)]);
  const digests = records.map(({ digest }) => digest);
  const expected = { digests, buckets: records.map(({ bucket }) => bucket), sum };
  const print = {
    typescript: `const all = JSON.parse(process.argv[1]);
const found = all.map((members) => digestOf(new Map(members)));
const digests = found.map((digest) => digest.toString(16).padStart(64, '0'));
const buckets = all.map((members) => bucketOf('{"id":' + new Map(members).get('id') + '}'));
console.log(JSON.stringify({ digests, buckets, sum: sumOf(found) }));`,
    python: `import sys
every = [dict(members) for members in json.loads(sys.argv[1])]
found = [digest_of(members) for members in every]
buckets = [bucket_of('{"id":' + members["id"] + "}") for members in every]
print(json.dumps({"digests": [f"{each:064x}" for each in found], "buckets": buckets, "sum": sum_of(found)}))`,
  };
  const script = stripTypeScriptTypes(codeIn('typescript')) + print.typescript;
  const node = ['--input-type=module', '-e', script, JSON.stringify(members)];
  const python = ['-c', `${codeIn('python')}\n${print.python}`, JSON.stringify(members)];
  for (const [command, args] of [[process.execPath, node] as const, ['python3', python] as const]) {
    const { stdout } = await run(command, args);
    expect(JSON.parse(stdout), command).toEqual(expected);
  }
});

test('the guides name every code, reason and scope that customers meet', () => {
  const named: Readonly<Record<string, readonly string[]>> = {
    'exports.md': [
      ...namesOf('type FailureCode =', /type FailureCode =[^;]*;/),
      ...namesOf('interface WriterFailure', /interface WriterFailure[^;]*;/),
    ],
    'events.md': namesOf('type ResetReason =', /type ResetReason =[^;]*;/),
    'authentication.md': namesOf('const SCOPES =', /const SCOPES = [^;]*;/),
  };
  for (const [guide, names] of Object.entries(named)) {
    expect(names.length, guide).toBeGreaterThan(6);
    const text = readFileSync(new URL(guide, FOLDER), 'utf8');
    expect(
      names.filter((name) => !text.includes(`\`${name}\``)),
      guide,
    ).toEqual([]);
  }
});

/** The texts that a declaration lists, wherever it is. */
function namesOf(declaration: string, whole: RegExp): string[] {
  const found = execFileSync('git', ['grep', '-l', declaration, '--', 'services', 'shared', ':!*.test.ts'], {
    cwd: ROOT,
  });
  const paths = found.toString().trim().split('\n');
  const text = paths.map((path) => readFileSync(new URL(path, ROOT), 'utf8')).join('\n');
  const [list = ''] = whole.exec(text.replaceAll(/\/\*[\s\S]*?\*\//g, '')) ?? [];
  return [...list.matchAll(/'([a-z_:]+)'/g)].map(([, name = '']) => name);
}
