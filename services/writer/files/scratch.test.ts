import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createScratch } from './scratch.ts';

async function setUp() {
  const root = await mkdtemp(join(tmpdir(), 'tandem-scratch-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return { root, scratch: createScratch(join(root, 'scratch')) };
}

test('nothing is made before it is needed, and nothing is left', async () => {
  const { root, scratch } = await setUp();
  {
    await using folder = scratch.open('exp_1');
    expect(await readdir(root)).toEqual([]);
    await writeFile(await folder.path('rows'), 'x');
    expect(await scratch.listExports()).toEqual(['exp_1']);
  }
  expect(await scratch.listExports()).toEqual([]);
});

test('a new try removes what the one before left, and has files of its own', async () => {
  const { scratch } = await setUp();
  const killed = scratch.open('exp_1');
  const left = await killed.path('rows');
  await writeFile(left, 'left');
  await using folder = scratch.open('exp_1');
  const path = await folder.path('rows');
  expect(path).not.toBe(left);
  await writeFile(path, 'new');
  await expect(readFile(left)).rejects.toThrow('ENOENT');
  await killed[Symbol.asyncDispose]();
  expect(await readFile(path, 'utf8')).toBe('new');
});

test('what is kept for an export is found, and removed as a whole', async () => {
  const { scratch } = await setUp();
  expect(await scratch.listExports()).toEqual([]);
  await writeFile(await scratch.open('exp_1').path('rows'), 'x');
  await writeFile(await scratch.open('exp_2').path('rows'), 'x');
  await scratch.remove('exp_1');
  await scratch.remove('exp_1');
  expect(await scratch.listExports()).toEqual(['exp_2']);
});
