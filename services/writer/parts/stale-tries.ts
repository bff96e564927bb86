import { type ChunkTry, chunkTryKey } from '../../../shared/control/chunks/chunk-try.ts';

/** A try's rows come in one run, so a few thousand outlast the runs that are mixed; a forgotten one is only asked for again. */
const MAX_KEPT = 20_000;

/** Tries whose rows are to be dropped. A try that once stopped counting never counts again. */
export class StaleTries {
  readonly #keys = new Set<string>();

  add(chunkTry: ChunkTry): void {
    this.#keys.add(chunkTryKey(chunkTry));
    if (this.#keys.size <= MAX_KEPT) return;
    // A Set keeps the order of insertion, so the first is the oldest.
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      return;
    }
  }

  has(chunkTry: ChunkTry): boolean {
    return this.#keys.has(chunkTryKey(chunkTry));
  }
}
