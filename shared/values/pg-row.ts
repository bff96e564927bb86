import type { RowTexts } from '../domain/row-type.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

const COUNT_BYTES = 2;
const LENGTH_BYTES = 4;

/**
 * One row as PostgreSQL sends it (the body of a DataRow message), as offsets of its values' texts in the received bytes, so an
 * unconverted value never becomes a string. One object is reused for all rows of a result.
 */
export class PgRow {
  bytes: Buffer = Buffer.alloc(0);
  columnCount = 0;
  /** Where each value's text starts in `bytes`. */
  starts = new Int32Array(16);
  /** Bytes of each value's text; -1 is SQL NULL. */
  lengths = new Int32Array(16);

  /** Takes the row whose body is `bytes[at, end)`. @throws UnreadableTextError when its lengths don't add up */
  read(bytes: Buffer, at: number, end: number): void {
    this.bytes = bytes;
    const count = bytes.readUInt16BE(at);
    if (count > this.starts.length) {
      this.starts = new Int32Array(count);
      this.lengths = new Int32Array(count);
    }
    this.columnCount = count;
    const { starts, lengths } = this;
    let position = at + COUNT_BYTES;
    for (let index = 0; index < count; index += 1) {
      const length = bytes.readInt32BE(position);
      position += LENGTH_BYTES;
      starts[index] = position;
      lengths[index] = length;
      if (length > 0) position += length;
    }
    if (position !== end) throw new UnreadableTextError('a row as the protocol has it');
  }

  text(index: number): string | null {
    if (index >= this.columnCount) throw new RangeError(`the row has no column ${index}`);
    const start = this.starts[index] as number;
    const length = this.lengths[index] as number;
    return length < 0 ? null : this.bytes.toString('utf8', start, start + length);
  }

  texts(): RowTexts {
    return Array.from({ length: this.columnCount }, (_, index) => this.text(index));
  }
}
