const INITIAL_BYTES = 64 * 1024;
/** Of one unit of a JavaScript string. */
const MAX_UTF8_BYTES = 3;
/** A larger buffer is given up after its row, so that one huge row does not keep its memory for ever. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/**
 * A growing buffer that is written, copied out and used again. `bytes` and `length` are open so that the codecs' inner
 * loops write without a call per byte: `reserve` first, then take `bytes`, since growing replaces it.
 */
export class ByteWriter {
  bytes: Buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  length = 0;

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  /** Forgets what was written. */
  reset(): void {
    this.length = 0;
    if (this.bytes.length > MAX_KEPT_BYTES) this.bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  }

  /** A copy of what was written. */
  toBuffer(): Buffer {
    const copy = Buffer.allocUnsafe(this.length);
    this.bytes.copy(copy, 0, 0, this.length);
    return copy;
  }

  toText(): string {
    return this.bytes.toString('utf8', 0, this.length);
  }

  writeByte(byte: number): void {
    this.reserve(1);
    this.bytes[this.length] = byte;
    this.length += 1;
  }

  /** Any text, as UTF-8. */
  writeText(text: string): void {
    this.reserve(text.length * MAX_UTF8_BYTES);
    this.length += this.bytes.write(text, this.length, 'utf8');
  }

  /** Text known to be ASCII: digits, hexadecimal, base64. */
  writeAscii(text: string): void {
    const { length } = text;
    this.reserve(length);
    if (length > SHORT_TEXT_LENGTH) {
      this.length += this.bytes.write(text, this.length, 'latin1');
      return;
    }
    const { bytes } = this;
    let at = this.length;
    for (let index = 0; index < length; index += 1) bytes[at++] = text.charCodeAt(index);
    this.length = at;
  }
}

/** Up to about this length a loop is faster than a call into native code. */
export const SHORT_TEXT_LENGTH = 40;
