import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import type { Child, ChildExit } from './child-group.ts';
import { openClassArchive } from './class-archive.ts';

const EXITED: ChildExit = { code: 143, signal: null };
const KILLED: ChildExit = { code: null, signal: 'SIGKILL' };

/** A Java of its own, and a directory for archives. */
function setUp() {
  const home = temporaryDirectory();
  mkdirSync(join(home, 'bin'));
  const java = join(home, 'bin', 'java');
  writeFileSync(java, 'a program');
  const directory = join(home, 'jars');
  mkdirSync(directory);
  const open = () => openClassArchive(directory, 'kafka', java, true);
  return { java, directory, open, names: () => readdirSync(directory) };
}

const flagValue = (args: readonly string[], flag: string) =>
  args.find((each) => each.startsWith(`${flag}=`))?.slice(flag.length + 1);

/** As Java does with these arguments, and how it ends. */
async function run({ args, keepOf }: ReturnType<typeof openClassArchive>, exit: ChildExit): Promise<void> {
  const made = flagValue(args, '-XX:ArchiveClassesAtExit');
  if (made !== undefined) writeFileSync(made, 'classes');
  const exited = Promise.resolve(exit);
  keepOf({ exited } as Child);
  await exited;
  // What is done at the exit comes behind it.
  await Promise.resolve();
}

test('what a program has loaded by its first orderly stop is used at the next start', async () => {
  const { open, names, directory } = setUp();
  await run(open(), EXITED);
  expect(names()).toEqual([expect.stringMatching(/^kafka-[0-9a-f]{12}\.jsa$/)]);
  const { args } = open();
  expect(flagValue(args, '-XX:SharedArchiveFile')).toBe(join(directory, names()[0] ?? ''));
  expect(flagValue(args, '-XX:ArchiveClassesAtExit')).toBeUndefined();
});

test('an archive that may not be made is used where there is one', async () => {
  const { java, directory, open, names } = setUp();
  const use = () => openClassArchive(directory, 'kafka', java, false);
  await run(use(), EXITED);
  expect(names()).toEqual([]);
  await run(open(), EXITED);
  expect(flagValue(use().args, '-XX:SharedArchiveFile')).toBe(join(directory, names()[0] ?? ''));
});

test('a program that is killed leaves no archive, and the next one makes it', async () => {
  const { open, names } = setUp();
  await run(open(), KILLED);
  expect(names()).toEqual([]);
  await run(open(), EXITED);
  expect(names()).toHaveLength(1);
});

test('a Java that was replaced makes an archive of its own', async () => {
  const { java, open, names } = setUp();
  await run(open(), EXITED);
  writeFileSync(java, 'a newer program');
  expect(flagValue(open().args, '-XX:SharedArchiveFile')).toBeUndefined();
  await run(open(), EXITED);
  expect(names()).toHaveLength(2);
});

test('what was left half made long ago is removed', () => {
  const { directory, open } = setUp();
  const [old, recent] = ['kafka-a.jsa.1.incomplete', 'kafka-a.jsa.2.incomplete'].map((name) =>
    join(directory, name),
  );
  for (const path of [old, recent]) writeFileSync(path ?? '', '');
  utimesSync(old ?? '', 0, 0);
  open();
  expect([old, recent].map((path) => existsSync(path ?? ''))).toEqual([false, true]);
});
