import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { silentLog } from '../../shared/runtime/log.ts';
import { lowerPriority } from '../../shared/runtime/lower-priority.ts';

/** The last in line for the processor. */
const LOWEST_PRIORITY = 19;

/**
 * Runs a module that attacks what is measured, in a process of its own. In the world an attacker has a machine of its own. Here
 * it shares the processors with the product, so it yields to it, and what is measured is what the product does for it.
 */
export async function forkApart(module: URL): Promise<ChildProcess & AsyncDisposable> {
  // In a session of its own: where the system compares sessions, only the leader's priority counts.
  const child = fork(module, { detached: true });
  await once(child, 'spawn');
  return Object.assign(child, {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  });
}

/** To be called first in such a module. It ends with the process that measures, however that ends. */
export function yieldToMeasured(): void {
  lowerPriority(LOWEST_PRIORITY, silentLog);
  process.once('disconnect', () => process.exit());
}
