import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Env } from '../../shared/runtime/env.ts';
import {
  type ChildChange,
  type ChildRecord,
  identifyProcess,
  removeRunFile,
  signalGroup,
  writeRunFile,
} from './run-processes.ts';

export interface ChildSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Env;
  readonly cwd: string;
  /** Standard output and error go here, appended. */
  readonly logPath: string;
  /** What asks this program for an orderly stop; PostgreSQL's SIGTERM would wait for its clients. */
  readonly stopSignal?: ChildRecord['stopSignal'];
  /** What it gets to stop when the group is disposed of; by default 15 s. */
  readonly stopGraceMs?: number;
  /** Another user to run as; only root may. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly logPath: string;
  /** Settles once, never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Reaches what the child has started in turn, too. Does nothing when it has already ended. */
  kill(signal: NodeJS.Signals): void;
  /** Asks for an orderly stop, and kills after the grace. Safe to call twice. */
  stop(graceMs: number): Promise<ChildExit>;
}

/**
 * Child processes that never outlive this one, however it ends.
 *
 * **Invariant:** a child's program runs only after its PID is in the run file and in the pipe to the reaper. Each is
 * started as a shell that waits for one line on its standard input and then becomes the program (same PID, same start
 * time). The line is sent after both records. If this process dies before, the shell reads the end of its input and
 * exits. The reaper sees the end of this process by its pipe, and ends the children. The file serves the next start,
 * should the reaper be killed too.
 */
export interface ChildGroup extends AsyncDisposable {
  spawn(spec: ChildSpec): Child;
}

const WAIT_FOR_GO = 'read -r go && exec "$@" </dev/null';

const LOG_CHECK_INTERVAL_MS = 60_000;

/** What a child gets to stop when the whole group is disposed of, unless it needs longer. */
const DISPOSE_GRACE_MS = 15_000;

const REAPER = fileURLToPath(new URL('./reaper.ts', import.meta.url));

export function createChildGroup(runDirectory: string): ChildGroup {
  const self = identifyProcess(process.pid);
  if (self === null) throw new Error("this process's own start time can't be read from /proc or by ps");
  const path = join(runDirectory, `${process.pid}-${randomUUID().slice(0, 8)}.run.json`);
  const running = new Map<Child, ChildRecord>();
  const graceOf = new Map<Child, number>();
  const record = () => writeRunFile(path, { owner: self, children: [...running.values()] });
  record();
  const reaper = startReaper(path);
  const report = (change: ChildChange) => reaper.stdin.write(`${JSON.stringify(change)}\n`);
  const logCheck = setInterval(() => {
    for (const { logPath } of running.keys()) boundLogFile(logPath);
  }, LOG_CHECK_INTERVAL_MS);
  logCheck.unref();
  let disposed = false;

  return {
    spawn(spec) {
      if (disposed) throw new Error(`${spec.name} can't be started: its group is stopped`);
      const shell = startWaiting(spec);
      const child = toChild(spec, shell);
      const identity = identifyProcess(child.pid) ?? { pid: child.pid, startedAt: 'unknown' };
      graceOf.set(child, spec.stopGraceMs ?? DISPOSE_GRACE_MS);
      const started = { ...identity, name: spec.name, stopSignal: spec.stopSignal ?? 'SIGTERM' };
      running.set(child, started);
      record();
      report({ started });
      child.exited.then(() => {
        running.delete(child);
        graceOf.delete(child);
        report({ ended: child.pid });
        if (!disposed) record();
      });
      shell.stdin?.end('go\n');
      return child;
    },
    async [Symbol.asyncDispose]() {
      if (disposed) return;
      disposed = true;
      clearInterval(logCheck);
      for (const child of [...running.keys()].reverse())
        await child.stop(graceOf.get(child) ?? DISPOSE_GRACE_MS);
      removeRunFile(path);
      reaper.stdin.end();
    },
  };
}

function startReaper(path: string) {
  const reaper = spawn(process.execPath, ['--no-warnings', REAPER, path], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  reaper.on('error', () => undefined);
  reaper.stdin.on('error', () => undefined);
  reaper.unref();
  return reaper;
}

function startWaiting(spec: ChildSpec) {
  const log = openLogFile(spec.logPath);
  try {
    const child = spawn('/bin/sh', ['-c', WAIT_FOR_GO, 'sh', spec.command, ...spec.args], {
      // Its own session, so that a Ctrl-C in the terminal reaches this process only, which then stops all in order.
      detached: true,
      cwd: spec.cwd,
      env: spec.env,
      stdio: ['pipe', log, log],
      ...spec.user,
    });
    child.stdin?.on('error', () => undefined);
    return child;
  } finally {
    closeSync(log);
  }
}

function toChild(spec: ChildSpec, process: ChildProcess): Child {
  const { pid } = process;
  if (pid === undefined) throw new Error(`${spec.name} could not be started in ${spec.cwd}`);
  const exited = new Promise<ChildExit>((resolve) => {
    process.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const kill = (signal: NodeJS.Signals) => {
    if (process.exitCode === null && process.signalCode === null) signalGroup(pid, signal);
  };
  return {
    name: spec.name,
    pid,
    logPath: spec.logPath,
    exited,
    kill,
    async stop(graceMs) {
      kill(spec.stopSignal ?? 'SIGTERM');
      const timer = setTimeout(() => kill('SIGKILL'), graceMs);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** One process's log on this machine, and one older one of the same size. */
const MAX_LOG_BYTES = 64 * 1024 * 1024;

/** Opens a log for appending and returns its descriptor, to be handed to a child process. */
function openLogFile(path: string): number {
  mkdirSync(dirname(path), { recursive: true });
  boundLogFile(path);
  return openSync(path, 'a');
}

/**
 * Moves a grown log aside by copying and truncating, because its writer holds it open. Lines written
 * between the two are lost; that is the price of a bounded disk without a pipe through this process.
 */
export function boundLogFile(path: string, maxBytes: number = MAX_LOG_BYTES): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= maxBytes) return;
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
}

/** The last lines of a log, for an error that has to say what its writer said. */
export function tailLogFile(path: string, lineCount: number): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lineCount).join('\n');
  } catch {
    return '';
  }
}
