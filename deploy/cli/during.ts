import yoctoSpinner from 'yocto-spinner';

const TICK_MS = 250;

/** Where a plain line shows how far a step is, one follows the other no sooner. */
const PLAIN_EVERY_MS = 5_000;

/**
 * Runs a step that may take long, and shows a person that it continues. The step may report how far it is, as often as it
 * likes.
 */
export type During = <T>(what: string, step: (report: (text: string) => void) => Promise<T>) => Promise<T>;

/**
 * On a terminal a line moves while the step runs, and shows what was reported last, or else the seconds. Other lines may be
 * printed above it. Elsewhere, as in a log or a pipe, these are plain lines: one at the start, then one every few seconds.
 */
export function createDuring(
  say: (line: string) => void,
  stream: NodeJS.WriteStream = process.stderr,
): During {
  return async (what, step) => {
    const startedAtMs = performance.now();
    if (!stream.isTTY) {
      say(what);
      let saidAtMs = startedAtMs;
      return step((text) => {
        if (performance.now() - saidAtMs < PLAIN_EVERY_MS) return;
        saidAtMs = performance.now();
        say(`${what} ${text}`);
      });
    }
    const seconds = () => Math.round((performance.now() - startedAtMs) / 1_000);
    // Signals are the command's own: it stops what it has started.
    const spinner = yoctoSpinner({ text: what, stream, handleSignals: false }).start();
    let reported: string | undefined;
    const tick = setInterval(() => {
      spinner.text = reported === undefined ? `${what} (${seconds()} s)` : `${what} ${reported}`;
    }, TICK_MS);
    try {
      const result = await step((text) => {
        reported = text;
      });
      spinner.success(`${what}: done in ${seconds()} s`);
      return result;
    } catch (error) {
      const isInterrupted = error instanceof Error && error.name === 'AbortError';
      spinner.error(`${what}: ${isInterrupted ? 'interrupted' : 'failed'} after ${seconds()} s`);
      throw error;
    } finally {
      clearInterval(tick);
    }
  };
}
