import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const MODULE = new URL('./lower-priority.ts', import.meta.url).href;

/** Prints the niceness of each thread of the process, and of its session where the kernel has that, one in a line. */
const PROGRAM = `
  import { existsSync, readdirSync, readFileSync } from 'node:fs';
  import { lowerPriority } from '${MODULE}';
  const niceOf = (thread) => readFileSync('/proc/self/task/' + thread + '/stat', 'utf8').split(') ').at(-1).split(' ')[16];
  lowerPriority(Number(process.argv[1]), { warn: (...line) => console.log(line) });
  for (const thread of readdirSync('/proc/self/task')) console.log('thread ' + niceOf(thread));
  if (existsSync('/proc/self/autogroup')) console.log(readFileSync('/proc/self/autogroup', 'utf8').trim().replace(/.* nice/, 'session'));
`;

/** @param command before the program: what starts it */
function runAt(nice: number, command: readonly string[]): Set<string> {
  const [file = '', ...args] = [
    ...command,
    process.execPath,
    '--input-type=module',
    '-e',
    PROGRAM,
    String(nice),
  ];
  const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  return new Set(stdout.trim().split('\n'));
}

const isLinux = process.platform === 'linux';

test.runIf(isLinux)('all threads yield, and a session that the process leads', () => {
  const shown = runAt(7, ['setsid', '--wait']);
  expect(shown).toContain('thread 7');
  expect([...shown].filter((line) => !/^(thread|session) 7$/.test(line))).toEqual([]);
});

test.runIf(isLinux)('a session with other processes in it keeps its priority', () => {
  // The shell leads it: with a second command it does not become the first.
  const shown = runAt(7, ['setsid', '--wait', 'sh', '-c', '"$@"; true', 'sh']);
  expect(shown).toContain('thread 7');
  expect(shown).not.toContain('session 7');
});

test.runIf(isLinux)('with 0 nothing changes', () => {
  expect([...runAt(0, ['setsid', '--wait'])].filter((line) => !/ 0$/.test(line))).toEqual([]);
});
