import { type ByteWriter, SHORT_TEXT_LENGTH } from './byte-writer.ts';

const QUOTE = 0x22;
/** A long text is written in slices of this many bytes, so that what is reserved for escapes stays small. */
const SLICE_BYTES = 4096;
const MAX_ESCAPED_BYTES = 6;
const DIGIT_ZERO = 0x30;
const MAX_INT_DIGITS = 10;

/** For each byte of UTF-8 what stands for it inside a JSON string, exactly as `JSON.stringify` has it; null for itself. */
const ESCAPES: readonly (string | null)[] = Array.from({ length: 256 }, (_, byte) => {
  if (byte > 0x7f) return null;
  const quoted = JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
  return quoted.length === 1 ? null : quoted;
});
const IS_ESCAPED = Uint8Array.from(ESCAPES, (escaped) => (escaped === null ? 0 : 1));

/** Writes the UTF-8 text in `source[start, end)` as a JSON string, straight from bytes to bytes. */
export function writeJsonString(out: ByteWriter, source: Buffer, start: number, end: number): void {
  out.writeByte(QUOTE);
  for (let from = start; from < end; from += SLICE_BYTES) {
    writeSlice(out, source, from, Math.min(from + SLICE_BYTES, end));
  }
  out.writeByte(QUOTE);
}

function writeSlice(out: ByteWriter, source: Buffer, start: number, end: number): void {
  out.reserve((end - start) * MAX_ESCAPED_BYTES);
  const { bytes } = out;
  let at = out.length;
  for (let index = start; index < end; index += 1) {
    const byte = source[index] as number;
    if (IS_ESCAPED[byte] === 0) {
      bytes[at++] = byte;
      continue;
    }
    const escaped = ESCAPES[byte] as string;
    for (let i = 0; i < escaped.length; i += 1) bytes[at++] = escaped.charCodeAt(i);
  }
  out.length = at;
}

/** Writes an integer of any size, its digits all exact. */
export function writeJsonInteger(out: ByteWriter, value: number | bigint): void {
  if (typeof value === 'bigint' || value > 0x7fffffff || value < 0) {
    out.writeAscii(String(value));
    return;
  }
  out.reserve(MAX_INT_DIGITS);
  const { bytes } = out;
  let size = 1;
  for (let bound = 10; value >= bound; bound *= 10) size += 1;
  let rest = value;
  for (let at = out.length + size - 1; at >= out.length; at -= 1) {
    const tens = (rest / 10) | 0;
    bytes[at] = DIGIT_ZERO + rest - tens * 10;
    rest = tens;
  }
  out.length += size;
}

/** Writes JSON text as it is. */
export function writeJsonRaw(out: ByteWriter, source: Buffer, start: number, end: number): void {
  const count = end - start;
  out.reserve(count);
  if (count > SHORT_TEXT_LENGTH) {
    out.length += source.copy(out.bytes, out.length, start, end);
    return;
  }
  const { bytes } = out;
  let at = out.length;
  for (let index = start; index < end; index += 1) bytes[at++] = source[index] as number;
  out.length = at;
}
