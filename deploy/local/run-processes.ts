import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const identity = z.object({ pid: z.int().positive(), startedAt: z.string() });

const runFile = z.object({
  owner: identity,
  children: z.array(identity.extend({ name: z.string(), stopSignal: z.enum(['SIGTERM', 'SIGINT']) })),
});

/** What one process has started, and how each part likes to be asked to stop. */
export type RunFile = z.infer<typeof runFile>;

export type ChildRecord = RunFile['children'][number];

/** Replaces the file in one step, so that a reader after a crash finds the old list or the new one. */
export function writeRunFile(path: string, content: RunFile): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, JSON.stringify(content));
  renameSync(temporary, path);
}

/** The recorded run, or null when the file is gone or not one of ours. */
export function readRunFile(path: string): RunFile | null {
  try {
    return runFile.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null;
  }
}

export function removeRunFile(path: string): void {
  rmSync(path, { force: true });
}

export function listRunFiles(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.run.json'))
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}
