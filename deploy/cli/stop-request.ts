import { readFileSync } from 'node:fs';
import type { Env } from '../../shared/runtime/env.ts';

const PARENT_POLL_MS = 500;

/** What a shell reports for a program ended by Ctrl-C. */
export const INTERRUPTED_EXIT_CODE = 130;

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP. The second one ends this process at once; what it has
 * started is then ended by the reaper.
 *
 * Under npm it aborts too when npm is gone: npm starts us through a shell, and a shell that is killed takes no one along.
 */
export function onStopRequest(env: Env): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(INTERRUPTED_EXIT_CODE);
      stop.abort();
    });
  }
  if (env.npm_lifecycle_event !== undefined) {
    // Between npm and us there may be a shell, which lives on when npm is gone: so its parent is watched, too.
    const parent = process.ppid;
    const grandparent = parentOf(parent);
    const watch = setInterval(() => {
      if (process.ppid !== parent || parentOf(parent) !== grandparent) stop.abort();
    }, PARENT_POLL_MS);
    watch.unref();
  }
  return stop.signal;
}

/** Resolves with nothing once the signal has aborted, and keeps this process alive until then. */
export function untilAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    const keepAlive = setInterval(() => undefined, 60_000);
    const done = () => {
      clearInterval(keepAlive);
      resolve(undefined);
    };
    signal.addEventListener('abort', done, { once: true });
  });
}

/** The PID of a process's parent, or null where there is no /proc to tell. */
function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null;
  }
}
