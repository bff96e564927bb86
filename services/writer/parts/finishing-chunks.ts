import type { Part } from './part.ts';
import type { OpenChunk } from './partition-states.ts';

/** Limit of concurrent finishes. Each keeps a file open, and a buffer until its rows are written. */
const MAX_FINISHING = 16;

/**
 * Chunks of one batch whose parts are synced and recorded concurrently, while later rows are appended. With many small
 * chunks, each would otherwise wait for the sync of the one before.
 */
export class FinishingChunks {
  readonly #begun = new Map<OpenChunk<Part>, Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  /** Starts as soon as fewer than `MAX_FINISHING` are under way. @throws the error of an earlier one */
  async begin(open: OpenChunk<Part>, finish: () => Promise<void>): Promise<void> {
    open.isWhole = true;
    while (this.#begun.size >= MAX_FINISHING) await Promise.race(this.#begun.values());
    this.#throwFailure();
    const ended = finish()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#begun.delete(open));
    this.#begun.set(open, ended);
  }

  /** Resolves when this chunk's finish has ended, if it is under way. */
  async of(open: OpenChunk<Part>): Promise<void> {
    await this.#begun.get(open);
    this.#throwFailure();
  }

  /** @throws the error of one of them, after all have ended */
  async all(): Promise<void> {
    await Promise.all(this.#begun.values());
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
