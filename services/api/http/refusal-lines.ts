/** Log lines of refusals per second. The next line has the number of those left out. */
const LINES_PER_SECOND = 10;

/** Selects which log lines of refusals are written, up to a number per second. */
export interface RefusalLines {
  /** @returns how many lines were left out before this one; undefined when this one is left out too */
  take(): number | undefined;
  leaveOut(): void;
}

export function createRefusalLines(): RefusalLines {
  let second = 0;
  let written = 0;
  let leftOut = 0;
  return {
    take() {
      const now = Math.floor(performance.now() / 1_000);
      if (now !== second) written = 0;
      second = now;
      if (written >= LINES_PER_SECOND) {
        leftOut += 1;
        return undefined;
      }
      written += 1;
      const before = leftOut;
      leftOut = 0;
      return before;
    },
    leaveOut() {
      leftOut += 1;
    },
  };
}
