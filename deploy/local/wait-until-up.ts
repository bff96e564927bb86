import { SetupError } from '../../shared/runtime/errors.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import { type Child, type ChildExit, tailLogFile } from './child-group.ts';

const POLL_MS = 150;

const TAIL_LINE_COUNT = 15;

/**
 * Probes a started program until it answers. A probe says no by throwing.
 *
 * @throws SetupError with the end of the program's log when it exits, or is not up in time
 */
export async function waitUntilUp(
  child: Child,
  probe: () => Promise<unknown>,
  limitMs: number,
): Promise<void> {
  let exit: ChildExit | undefined;
  child.exited.then((value) => {
    exit = value;
  });
  const deadlineAtMs = Date.now() + limitMs;
  for (;;) {
    try {
      await probe();
      return;
    } catch (error) {
      if (exit !== undefined)
        throw failure(child, `ended with ${exit.signal ?? `code ${exit.code}`} while starting`);
      if (Date.now() > deadlineAtMs) {
        throw failure(child, `was not up within ${limitMs / 1000} s (last response: ${String(error)})`);
      }
    }
    await sleep(POLL_MS);
  }
}

function failure(child: Child, what: string): SetupError {
  return new SetupError(`${child.name} ${what}. The end of ${child.logPath}:`, [
    tailLogFile(child.logPath, TAIL_LINE_COUNT) || '(empty)',
  ]);
}
