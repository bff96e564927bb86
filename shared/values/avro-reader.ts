/** A message that is not what its schema says: damaged, written with another schema, or not ours at all. */
export class UnreadableMessageError extends Error {
  override readonly name = 'UnreadableMessageError';
  readonly reason: string;

  constructor(reason: string) {
    super(`message cannot be read with its schema: ${reason}`);
    this.reason = reason;
  }
}

/** A double holds seven groups of seven bits exactly. More groups need a BigInt. */
const MAX_EXACT_SHIFT = 49;
const MAX_LONG_SHIFT = 63;

/**
 * Reads Avro's binary encoding from a buffer. Never reads past the end: damage of any kind ends in
 * `UnreadableMessageError`, not in a wrong value of a later field or a long loop.
 */
export class AvroReader {
  readonly bytes: Buffer;
  position: number;

  constructor(bytes: Buffer, position: number) {
    this.bytes = bytes;
    this.position = position;
  }

  readByte(): number {
    const byte = this.bytes[this.position];
    if (byte === undefined) throw endsEarly();
    this.position += 1;
    return byte;
  }

  /** An int, or a long of any size: exact numbers as numbers, wider ones as BigInts. */
  readInteger(): number | bigint {
    const { bytes } = this;
    let at = this.position;
    let byte = bytes[at++];
    if (byte === undefined) throw endsEarly();
    let zigzag = byte & 0x7f;
    let scale = 128;
    for (let shift = 7; byte > 0x7f; shift += 7) {
      if (shift >= MAX_EXACT_SHIFT) return this.#readLong();
      byte = bytes[at++];
      if (byte === undefined) throw endsEarly();
      zigzag += (byte & 0x7f) * scale;
      scale *= 128;
    }
    this.position = at;
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  #readLong(): bigint {
    let zigzag = 0n;
    let byte: number;
    let shift = 0;
    do {
      if (shift > MAX_LONG_SHIFT) throw new UnreadableMessageError('an integer has more than 64 bits');
      byte = this.readByte();
      zigzag |= BigInt(byte & 0x7f) << BigInt(shift);
      shift += 7;
    } while (byte > 0x7f);
    return BigInt.asIntN(64, (zigzag >> 1n) ^ -(zigzag & 1n));
  }

  readLong(): bigint {
    return BigInt(this.readInteger());
  }

  /** Passes over a string or bytes and gives where it started; it ends at `position`. */
  skipString(): number {
    const length = this.readInteger();
    const start = this.position;
    if (typeof length !== 'number' || length < 0 || start + length > this.bytes.length) throw endsEarly();
    this.position = start + length;
    return start;
  }

  readString(): string {
    return this.#readText('utf8');
  }

  readBase64(): string {
    return this.#readText('base64');
  }

  #readText(encoding: 'utf8' | 'base64'): string {
    const start = this.skipString();
    return this.bytes.toString(encoding, start, this.position);
  }

  readFloat(): number {
    return this.bytes.readFloatLE(this.#take(4));
  }

  readDouble(): number {
    return this.bytes.readDoubleLE(this.#take(8));
  }

  #take(count: number): number {
    const start = this.position;
    if (start + count > this.bytes.length) throw endsEarly();
    this.position = start + count;
    return start;
  }

  readBoolean(): boolean {
    const byte = this.readByte();
    if (byte > 1) throw new UnreadableMessageError('a boolean is neither 0 nor 1');
    return byte === 1;
  }

  /** Which branch of a union `["null", T]` follows. */
  readIsNull(): boolean {
    const byte = this.readByte();
    if (byte !== 0 && byte !== 2) throw new UnreadableMessageError('a union has no such branch');
    return byte === 0;
  }

  /** @throws UnreadableMessageError when something is left */
  finish(): void {
    if (this.position !== this.bytes.length) throw new UnreadableMessageError('bytes are left at its end');
  }
}

function endsEarly(): UnreadableMessageError {
  return new UnreadableMessageError('it ends early');
}
