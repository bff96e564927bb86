/**
 * Lets a limited number of uploads run at once, first come first served. Each holds its part in memory while it
 * runs, so this is what bounds that memory over all the files being written.
 */
export class UploadSlots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** @returns what gives the slot back; to be called once, whatever came of the upload */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    // Whoever gives a slot back hands it to the one that waits longest, so it is never free in between.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return () => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
