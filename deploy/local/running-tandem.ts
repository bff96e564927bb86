import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { identifyProcess, isSameProcess } from './run-processes.ts';

const runningTandem = z.object({
  owner: z.object({ pid: z.int(), startedAt: z.string() }),
  apiUrl: z.string(),
  adminKey: z.string(),
  /** The variables that name the stack's parts, and what its services call things there. */
  parts: z.record(z.string(), z.string()),
});

/** What another command on this machine needs to use a Tandem that runs. */
export type RunningTandem = Omit<z.infer<typeof runningTandem>, 'owner'>;

const fileIn = (home: string) => join(home, 'running.json');

/** Tells other commands where this process's Tandem is. Readable by its owner only: it holds keys. */
export function announceTandem(home: string, running: RunningTandem): Disposable {
  const path = fileIn(home);
  writeFileSync(`${path}.tmp`, JSON.stringify({ owner: identifyProcess(process.pid), ...running }), {
    mode: 0o600,
  });
  renameSync(`${path}.tmp`, path);
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** The Tandem that runs in this home and is ready, or null. One that was killed is not taken for running. */
export function findRunningTandem(home: string): RunningTandem | null {
  try {
    const { owner, ...running } = runningTandem.parse(JSON.parse(readFileSync(fileIn(home), 'utf8')));
    return isSameProcess(owner) ? running : null;
  } catch {
    return null;
  }
}
