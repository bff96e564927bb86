import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Import {
  readonly from: string;
  readonly to: string;
}

const IMPORTS: readonly Import[] = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard'],
  {
    cwd: ROOT,
  },
)
  .toString()
  .split('\n')
  .filter((path) => /^(services|shared)\/.*\.ts$/.test(path) && !path.endsWith('.test.ts'))
  .filter((path) => existsSync(join(ROOT, path)))
  .flatMap((from) => {
    const text = readFileSync(join(ROOT, from), 'utf8');
    return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target = '']) => ({
      from,
      to: relative(ROOT, resolve(ROOT, dirname(from), target)),
    }));
  });

/** A service's folder is a stage of its work; `shared` has one folder for each thing that is shared. */
function folderOf(path: string): string | undefined {
  const words = dirname(path).split('/');
  const depth = words[0] === 'services' ? 3 : 2;
  return words.length < depth ? undefined : words.slice(0, depth).join('/');
}

test('of two folders of a service, or of the shared code, one at most imports the other', () => {
  const pairs = new Map<string, Import>();
  for (const each of IMPORTS) {
    const [from, to] = [folderOf(each.from), folderOf(each.to)];
    if (from !== undefined && to !== undefined && from !== to) pairs.set(`${from} ${to}`, each);
  }
  const both = [...pairs]
    .filter(([pair]) => pairs.has(pair.split(' ').toReversed().join(' ')))
    .map(([, { from, to }]) => `${from} imports ${to}`);
  expect(both).toEqual([]);
});

test('no file imports itself through others', () => {
  const imports = Map.groupBy(IMPORTS, ({ from }) => from);
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) {
      cycles.push([...way.slice(way.indexOf(path)), path].join(' → '));
      return;
    }
    if (done.has(path)) return;
    for (const { to } of imports.get(path) ?? []) visit(to, [...way, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
  expect(cycles).toEqual([]);
});

test('the folders of the shared code import what their README says, and nothing else', () => {
  const rows = [
    ...readFileSync(join(ROOT, 'shared/README.md'), 'utf8').matchAll(
      /^\| `(\w+)\/` \|[^|]*\| ([^|]*) \|[^|]*\|$/gm,
    ),
  ].map(([, folder = '', imports = '']) => ({ folder, imports }));
  const base = ['domain', 'runtime', 'protocol'];
  const declared = rows.flatMap(({ folder, imports }) => {
    const named = imports === 'all' ? rows.map((row) => row.folder) : (imports.match(/\w+(?=\/)/g) ?? []);
    return [...named, ...(base.includes(folder) ? [] : base)].map((to) => `${folder} imports ${to}`);
  });
  const found = IMPORTS.filter(
    ({ from, to }) => from.startsWith('shared/') && folderOf(from) !== folderOf(to),
  ).map(({ from, to }) => `${from.split('/')[1]} imports ${to.split('/')[1]}`);
  expect(found.length).toBeGreaterThan(50);
  expect([...new Set(found)].filter((each) => !declared.includes(each))).toEqual([]);
  // What is allowed and not needed is no rule.
  const needless = declared.filter((each) => !found.includes(each));
  expect(
    needless.filter((each) => !base.some((name) => each.endsWith(` ${name}`)) && !each.startsWith('service')),
  ).toEqual([]);
});
