import { sleep } from '../../shared/runtime/sleep.ts';
import { isSameProcess } from './process-identity.ts';
import { type ChildRecord, listRunFiles, readRunFile, removeRunFile } from './run-file.ts';

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
