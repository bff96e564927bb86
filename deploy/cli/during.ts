import yoctoSpinner from 'yocto-spinner';

const TICK_MS = 1_000;

/** Runs a step that may take long, and shows a person that it goes on. */
export type During = <T>(what: string, step: () => Promise<T>) => Promise<T>;

/**
 * On a terminal a line moves and counts the seconds while the step runs, and other lines may be printed above it.
 * Elsewhere, as in a log or a pipe, it is one plain line.
 */
export function createDuring(
  say: (line: string) => void,
  stream: NodeJS.WriteStream = process.stderr,
): During {
  return async (what, step) => {
    if (!stream.isTTY) {
      say(what);
      return step();
    }
    const startedAtMs = performance.now();
    const seconds = () => Math.round((performance.now() - startedAtMs) / 1_000);
    // Signals are the command's own: it stops what it has started.
    const spinner = yoctoSpinner({ text: what, stream, handleSignals: false }).start();
    const tick = setInterval(() => {
      spinner.text = `${what} (${seconds()} s)`;
    }, TICK_MS);
    try {
      const result = await step();
      spinner.success(`${what}: done in ${seconds()} s`);
      return result;
    } catch (error) {
      spinner.error(`${what}: failed after ${seconds()} s`);
      throw error;
    } finally {
      clearInterval(tick);
    }
  };
}
