import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { createChildGroup } from '../../../deploy/local/child-group.ts';
import {
  endLeftovers,
  identifyProcess,
  listRunFiles,
  writeRunFile,
} from '../../../deploy/local/run-processes.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { waitFor } from '../../support/wait-for.ts';

const PARENT = fileURLToPath(new URL('../../support/parent-process.ts', import.meta.url));

async function startParent(home: string): Promise<{ parent: ChildProcess; pids: number[] }> {
  const parent = spawn(process.execPath, [PARENT, 'group', home], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [line] = await once(createInterface(parent.stdout), 'line');
  const grandchild = await waitFor('the grandchild', () =>
    Number(readFileSync(join(home, 'sleeper.log'), 'utf8').trim()),
  );
  return { parent, pids: [...JSON.parse(String(line)).pids, grandchild] };
}

const isAlive = (pid: number) => identifyProcess(pid) !== null;

test('children and theirs end when their parent is killed without a chance to stop them', async () => {
  const home = temporaryDirectory();
  const { parent, pids } = await startParent(home);
  expect(pids.filter(isAlive)).toEqual(pids);
  parent.kill('SIGKILL');
  await waitFor('all to end', () => !pids.some(isAlive));
  await waitFor('the run file to go', () => listRunFiles(join(home, 'run')).length === 0);
});

test('children and theirs end when their parent is killed and its directory is gone at once', async () => {
  const home = temporaryDirectory();
  const { parent, pids } = await startParent(home);
  rmSync(home, { recursive: true });
  parent.kill('SIGKILL');
  await waitFor('all to end', () => !pids.some(isAlive));
});

test('children and theirs end when their parent is told to stop', async () => {
  const home = temporaryDirectory();
  const { parent, pids } = await startParent(home);
  parent.kill('SIGTERM');
  expect(await once(parent, 'exit')).toEqual([0, null]);
  await waitFor('all to end', () => !pids.some(isAlive));
  expect(listRunFiles(join(home, 'run'))).toEqual([]);
});

test('a child that ignores the request to stop is killed after the grace', async () => {
  const home = temporaryDirectory();
  await using group = createChildGroup(join(home, 'run'));
  const child = group.spawn({
    name: 'stubborn',
    command: '/bin/sh',
    args: ['-c', "trap '' TERM; echo up; while :; do sleep 600; done"],
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
    logPath: join(home, 'stubborn.log'),
  });
  await waitFor('the trap', () => readFileSync(child.logPath, 'utf8').includes('up'));
  expect(await child.stop(50)).toEqual({ code: null, signal: 'SIGKILL' });
});

test('what a dead owner left over is ended, a stranger that has got its PID since is not', async () => {
  const runDirectory = join(temporaryDirectory(), 'run');
  const sleepers = [1, 2].map(() => spawn('sleep', ['600'], { stdio: 'ignore', detached: true }));
  onTestFinished(() => {
    for (const sleeper of sleepers) sleeper.kill('SIGKILL');
  });
  const [ours, stranger] = sleepers.map((sleeper) => identifyProcess(sleeper.pid ?? 0));
  if (!ours || !stranger) throw new Error('the sleepers did not start');
  writeRunFile(join(runDirectory, 'old.run.json'), {
    owner: { pid: process.pid, startedAt: 'before the last boot' },
    children: [
      { ...ours, name: 'ours', stopSignal: 'SIGTERM' },
      { pid: stranger.pid, startedAt: 'long ago', name: 'recycled', stopSignal: 'SIGTERM' },
    ],
  });
  const ended = await endLeftovers(runDirectory);
  expect(ended.map(({ name }) => name)).toEqual(['ours']);
  expect(isAlive(ours.pid)).toBe(false);
  expect(isAlive(stranger.pid)).toBe(true);
  expect(listRunFiles(runDirectory)).toEqual([]);
});

test('what a living owner has started is left alone', async () => {
  const runDirectory = join(temporaryDirectory(), 'run');
  await using group = createChildGroup(runDirectory);
  const child = group.spawn({
    name: 'sleeper',
    command: 'sleep',
    args: ['600'],
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
    logPath: join(runDirectory, 'sleeper.log'),
  });
  expect(await endLeftovers(runDirectory)).toEqual([]);
  expect(isAlive(child.pid)).toBe(true);
});
