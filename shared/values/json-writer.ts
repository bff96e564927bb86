import { type ByteWriter, SHORT_TEXT_LENGTH } from './byte-writer.ts';

const QUOTE = 0x22;
/** A long text is written in slices of this many bytes, so that what is reserved for escapes stays small. */
const SLICE_BYTES = 4096;
const MAX_ESCAPED_BYTES = 6;
const DIGIT_ZERO = 0x30;
const MAX_INT_DIGITS = 10;

/** For each byte of ASCII what stands for it inside a JSON string, exactly as `JSON.stringify` has it; null for itself. */
const ESCAPES: readonly (string | null)[] = Array.from({ length: 128 }, (_, byte) => {
  const quoted = JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
  return quoted.length === 1 ? null : quoted;
});

/** The first bytes of the line separators that `jsonString` escapes: U+0085, and U+2028 with U+2029. */
const NEL_LEAD = 0xc2;
const SEPARATOR_LEAD = 0xe2;

/** Bytes that may not be copied before a closer look. */
const IS_SPECIAL = Uint8Array.from({ length: 256 }, (_, byte) =>
  (ESCAPES[byte] ?? null) !== null || byte === NEL_LEAD || byte === SEPARATOR_LEAD ? 1 : 0,
);

/** Whether a character that begins at `at` is one of the line separators that `jsonString` escapes. */
export function isLineSeparator(source: Buffer, at: number, end: number): boolean {
  if (source[at] === NEL_LEAD) return at + 1 < end && source[at + 1] === 0x85;
  if (source[at] !== SEPARATOR_LEAD || at + 2 >= end || source[at + 1] !== 0x80) return false;
  return source[at + 2] === 0xa8 || source[at + 2] === 0xa9;
}

/** What stands for the character that begins at `at`; null when it stays as it is. */
function escapeAt(source: Buffer, at: number, end: number): { text: string; byteCount: number } | null {
  const byte = source[at] as number;
  if (byte <= 0x7f) return { text: ESCAPES[byte] as string, byteCount: 1 };
  if (!isLineSeparator(source, at, end)) return null;
  if (byte === NEL_LEAD) return { text: '\\u0085', byteCount: 2 };
  return { text: source[at + 2] === 0xa8 ? '\\u2028' : '\\u2029', byteCount: 3 };
}

/** Writes the UTF-8 text in `source[start, end)` as a JSON string, straight from bytes to bytes, as `jsonString` prints it. */
export function writeJsonString(out: ByteWriter, source: Buffer, start: number, end: number): void {
  out.writeByte(QUOTE);
  for (let from = start; from < end; ) from = writeSlice(out, source, from, end);
  out.writeByte(QUOTE);
}

/** @returns where the next slice begins, which is never inside an escaped character */
function writeSlice(out: ByteWriter, source: Buffer, start: number, textEnd: number): number {
  const end = Math.min(start + SLICE_BYTES, textEnd);
  out.reserve((end - start) * MAX_ESCAPED_BYTES);
  const { bytes } = out;
  let at = out.length;
  let index = start;
  while (index < end) {
    const byte = source[index] as number;
    const escaped = IS_SPECIAL[byte] === 0 ? null : escapeAt(source, index, textEnd);
    if (escaped === null) {
      bytes[at++] = byte;
      index += 1;
      continue;
    }
    const { text, byteCount } = escaped;
    for (let i = 0; i < text.length; i += 1) bytes[at++] = text.charCodeAt(i);
    index += byteCount;
  }
  out.length = at;
  return index;
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
