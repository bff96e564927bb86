import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

export interface Usage {
  cpuSeconds: number;
  /** Peak resident memory of the largest process of the tree, since it started or `resetPeaks` was last called. */
  peakBytes: number;
}

/** `getconf CLK_TCK` is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/**
 * CPU time of a process with its descendants, those that have ended and been waited for included, from Linux's `/proc`.
 * PostgreSQL's work is done by children of its first process, so one PID alone would show nothing.
 */
export function readTreeUsage(root: number): Usage {
  let ticks = 0;
  let peakBytes = 0;
  for (const stat of readTree(root)) {
    ticks += stat.ticks;
    peakBytes = Math.max(peakBytes, readPeakBytes(stat.pid));
  }
  return { cpuSeconds: ticks / TICKS_PER_SECOND, peakBytes };
}

/** Lets peaks begin again from what a process and its descendants hold now. */
export function resetPeaks(root: number): void {
  for (const { pid } of readTree(root)) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
    } catch {
      // It has ended, or the kernel does not have it: then its peak is that since it started.
    }
  }
}

/** Memory of a process with its descendants now, what they share counted once: each page by its share (PSS). */
export function readTreeMemory(root: number): number {
  return readTree(root).reduce((sum, { pid }) => sum + readPssBytes(pid), 0);
}

/** See proc(5), `/proc/pid/clear_refs`. */
const RESET_PEAK = '5';

/** The process and its descendants. */
function readTree(root: number): ProcessStat[] {
  const children = new Map<number, number[]>();
  const stats = new Map<number, ProcessStat>();
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? readStat(Number(entry)) : undefined;
    if (stat === undefined) continue;
    stats.set(stat.pid, stat);
    children.set(stat.parent, [...(children.get(stat.parent) ?? []), stat.pid]);
  }
  const tree: ProcessStat[] = [];
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    const stat = stats.get(pid);
    if (stat !== undefined) tree.push(stat);
    open.push(...(children.get(pid) ?? []));
  }
  return tree;
}

interface ProcessStat {
  pid: number;
  parent: number;
  /** User and system time, of the process itself and of the children it has waited for. */
  ticks: number;
}

/** See proc(5), `/proc/pid/stat`. A process may end while it is read. */
function readStat(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name is in brackets and may hold spaces and brackets itself.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { pid, parent: Number(fields[1]), ticks };
  } catch {
    return undefined;
  }
}

function readPeakBytes(pid: number): number {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function readPssBytes(pid: number): number {
  try {
    const line = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
