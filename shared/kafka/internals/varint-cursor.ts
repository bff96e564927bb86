/** Seven groups of seven bits are exact in a double; no count, length or time since a batch's first needs more. */
const MAX_EXACT_SHIFT = 49;

/** Reads zigzag varints, the numbers inside Kafka's record batches, one after the other. */
export class VarintCursor {
  readonly bytes: Buffer;
  position: number;

  constructor(bytes: Buffer, position: number) {
    this.bytes = bytes;
    this.position = position;
  }

  /** @throws RangeError past the end, and for a number that takes more than 49 bits */
  read(): number {
    const { bytes } = this;
    const first = bytes[this.position];
    if (first === undefined) throw new RangeError('a record ends early');
    this.position += 1;
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    let zigzag = first & 0x7f;
    let scale = 128;
    for (let shift = 7; ; shift += 7) {
      if (shift === MAX_EXACT_SHIFT) throw new RangeError('a number in a record is too large');
      const byte = bytes[this.position];
      if (byte === undefined) throw new RangeError('a record ends early');
      this.position += 1;
      zigzag += (byte & 0x7f) * scale;
      if (byte < 0x80) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
      scale *= 128;
    }
  }
}
