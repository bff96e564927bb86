import { createHash } from 'node:crypto';

const FIRST_CAPACITY_BYTES = 64 * 1024;

/** A part as it is sent. */
export interface FilledPart {
  readonly body: Buffer;
  /** SHA-256 of the body, as bytes. */
  readonly digest: Buffer;
}

/**
 * Collects one part. It takes memory as it fills up, because most files are small and very many may be open.
 *
 * The digest is made of the bytes as they come in, not of the buffer when it is sent: so what changes a byte in
 * between, here or on the way, is noticed by the server.
 */
export class PartBuffer {
  readonly #limit: number;
  readonly #hash = createHash('sha256');
  #buffer = Buffer.alloc(0);
  #length = 0;

  /** @param limit bytes that a full part has */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get isFull(): boolean {
    return this.#length === this.#limit;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** Copies as much as there is room for. @returns how many bytes that were */
  add(data: Buffer): number {
    const taken = data.subarray(0, this.#limit - this.#length);
    this.#reserve(this.#length + taken.length);
    taken.copy(this.#buffer, this.#length);
    this.#hash.update(taken);
    this.#length += taken.length;
    return taken.length;
  }

  /** What was collected. The buffer must not be added to afterwards. */
  finish(): FilledPart {
    return { body: this.#buffer.subarray(0, this.#length), digest: this.#hash.digest() };
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const capacity = Math.min(this.#limit, Math.max(bytes, this.#buffer.length * 2, FIRST_CAPACITY_BYTES));
    const larger = Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
