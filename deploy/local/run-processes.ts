import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { sleep } from '../../shared/runtime/sleep.ts';

// The processes that a run has started: recorded in a file, told from others of the same PID, and ended.

const identity = z.object({ pid: z.int().positive(), startedAt: z.string() });

const child = identity.extend({ name: z.string(), stopSignal: z.enum(['SIGTERM', 'SIGINT']) });

const runFile = z.object({ owner: identity, children: z.array(child) });

/** A line from an owner to its reaper. */
export const childChange = z.union([z.object({ started: child }), z.object({ ended: z.int().positive() })]);

export type ChildChange = z.infer<typeof childChange>;

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

/** A process for as long as it lives: PIDs are handed out again, a PID with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque, comparable on this machine only. */
  readonly startedAt: string;
}

/** The start time out of `/proc/<pid>/stat`, or null for a zombie, which is dead but not yet waited for. */
export function startTimeFromStat(stat: string): string | null {
  // The command name is in parentheses and may itself hold spaces and parentheses, so fields count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  if (state === undefined || startTicks === undefined || state === 'Z' || state === 'X') return null;
  return startTicks;
}

/** Who has this PID now, or null when nobody (alive) has. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const startedAt = process.platform === 'linux' ? linuxStart(pid) : portableStart(pid);
  return startedAt === null ? null : { pid, startedAt };
}

export function isSameProcess(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startedAt === identity.startedAt;
}

/** Ticks count from the boot, so the boot's own ID is part of the identity. */
function linuxStart(pid: number): string | null {
  try {
    const ticks = startTimeFromStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    if (ticks === null) return null;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${ticks}`;
  } catch {
    return null;
  }
}

function portableStart(pid: number): string | null {
  try {
    const output = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    if (output === '' || output.startsWith('Z')) return null;
    return output.slice(output.indexOf(' ') + 1).trim();
  } catch {
    return null;
  }
}

const POLL_MS = 50;

/** How long an orphan may take to stop by itself. PostgreSQL's fast shutdown writes a checkpoint in this time. */
const ORPHAN_GRACE_MS = 10_000;

/**
 * Signals a process that leads its own group, with whatever it has started in turn. Servers that give
 * their children sessions of their own, as PostgreSQL does, get it alone and pass it on as they see fit.
 */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It ended between the check and the signal.
  }
}

/**
 * Asks all of them to stop, and kills what is left after the grace. Only the very processes that were
 * recorded are signalled: a PID that was handed out again since is left alone. Returns those it had to signal.
 */
export async function endProcesses(
  records: readonly ChildRecord[],
  graceMs: number = ORPHAN_GRACE_MS,
): Promise<readonly ChildRecord[]> {
  const found = records.filter(isSameProcess);
  for (const { pid, stopSignal } of found) signalGroup(pid, stopSignal);
  const deadlineAtMs = Date.now() + graceMs;
  while (Date.now() < deadlineAtMs && found.some(isSameProcess)) await sleep(POLL_MS);
  for (const { pid } of found.filter(isSameProcess)) signalGroup(pid, 'SIGKILL');
  return found;
}

/** Ends what earlier runs have left over: every run file in the directory whose owner no longer lives. */
export async function endLeftovers(runDirectory: string): Promise<readonly ChildRecord[]> {
  const ended: ChildRecord[] = [];
  for (const path of listRunFiles(runDirectory)) {
    const run = readRunFile(path);
    if (run !== null && isSameProcess(run.owner)) continue;
    if (run !== null) ended.push(...(await endProcesses(run.children)));
    removeRunFile(path);
  }
  return ended;
}
