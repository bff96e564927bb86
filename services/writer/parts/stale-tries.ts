import { type ChunkAttempt, chunkAttemptKey } from '../../../shared/control/chunks/chunk-attempt.ts';

/** A try's rows come in one run, so a few thousand outlast the runs that are mixed; a forgotten one is only asked for again. */
const MAX_KEPT = 20_000;

/** Tries whose rows are to be dropped. A try that once stopped counting never counts again. */
export class StaleAttempts {
  readonly #keys = new Set<string>();

  add(chunkAttempt: ChunkAttempt): void {
    this.#keys.add(chunkAttemptKey(chunkAttempt));
    if (this.#keys.size <= MAX_KEPT) return;
    // A Set keeps the order of insertion, so the first is the oldest.
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      return;
    }
  }

  has(chunkAttempt: ChunkAttempt): boolean {
    return this.#keys.has(chunkAttemptKey(chunkAttempt));
  }
}
