import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

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
