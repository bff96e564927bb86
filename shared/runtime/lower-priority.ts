import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Log } from './log.ts';

/** Linux: the threads of this process, and the group of processes that its session is scheduled as. */
const THREADS = '/proc/self/task';
const SESSION_GROUP = '/proc/self/autogroup';

/**
 * Gives this process a lower priority for the processor, so that work that can wait yields to work that can't. A processor
 * that would be idle is used as before. It needs no right, and it cannot be taken back without one.
 *
 * @param nice as of nice(1): 19 yields the most, and 0 changes nothing
 */
export function lowerPriority(nice: number, log: Log): void {
  if (nice === 0) return;
  try {
    for (const thread of threads()) setPriority(thread, nice);
    if (leadsSession()) setSessionPriority(nice);
  } catch (error) {
    // A sandbox may forbid even this. The work goes on, only not behind the feed.
    log.warn('process.priority_kept', { error, nice });
  }
}

/** Linux gives each thread a priority of its own; a new thread inherits that of the one that starts it. */
function threads(): number[] {
  return (ifThere(() => readdirSync(THREADS)) ?? [String(process.pid)]).map(Number);
}

/**
 * With autogroups, Linux compares processes of different sessions by the priority of the session alone. That of a session
 * with other processes in it, such as a terminal's, is not for us to change: among those the threads' own priority counts.
 */
function leadsSession(): boolean {
  const stat = ifThere(() => readFileSync('/proc/self/stat', 'utf8'));
  // The name in brackets may hold spaces; behind it come state, parent, process group and session.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[3] === String(process.pid);
}

function setSessionPriority(nice: number): void {
  ifThere(() => writeFileSync(SESSION_GROUP, String(nice), { flag: 'r+' }));
}

/** @returns undefined on a system, or with a kernel, that has no such file */
function ifThere<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
