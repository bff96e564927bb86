import { type ByteWriter, SHORT_TEXT_LENGTH } from './byte-writer.ts';
import { byteaHex } from './scalar-types.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

// Avro's binary encoding; see "Binary Encoding" in the Avro specification.

const DIGIT_ZERO = 0x30;
const MINUS = 0x2d;
/** An integer of this many digits is exact in a double, also after zigzag encoding has doubled it. */
export const MAX_EXACT_DIGITS = 15;
const MAX_VARINT_BYTES = 10;
/** Up to here it is cheaper to reserve a text's greatest size than to measure it first. */
const MAX_UNMEASURED_LENGTH = 64 * 1024;

/** Int and long have the same encoding. `value` must be a safe integer below 2^52 in size. */
export function writeInteger(out: ByteWriter, value: number): void {
  out.reserve(MAX_VARINT_BYTES);
  const { bytes } = out;
  let at = out.length;
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  while (rest > 0x7fffffff) {
    bytes[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  out.length = at;
}

/** From here on `writeInteger` is not exact. */
const LARGE = 2n ** 52n;

/** Any 64-bit value. */
export function writeLong(out: ByteWriter, value: bigint): void {
  // Arithmetic of bigints makes an object at each step.
  if (value < LARGE && value > -LARGE) {
    writeInteger(out, Number(value));
    return;
  }
  out.reserve(MAX_VARINT_BYTES);
  const { bytes } = out;
  let at = out.length;
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  while (rest > 0x7fn) {
    bytes[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  bytes[at++] = Number(rest);
  out.length = at;
}

/** An integer's digits, all of them exact. @throws UnreadableTextError when the text is not an integer of 64 bits */
export function writeIntegerText(out: ByteWriter, text: string): void {
  const { length } = text;
  const isNegative = text.charCodeAt(0) === MINUS;
  const start = isNegative ? 1 : 0;
  if (length === start) throw new UnreadableTextError('an integer');
  if (length - start > MAX_EXACT_DIGITS) {
    writeLong(out, parseLong(text));
    return;
  }
  let value = 0;
  for (let index = start; index < length; index += 1) {
    const digit = text.charCodeAt(index) - DIGIT_ZERO;
    if (digit < 0 || digit > 9) throw new UnreadableTextError('an integer');
    value = value * 10 + digit;
  }
  writeInteger(out, isNegative ? -value : value);
}

function parseLong(text: string): bigint {
  if (!/^-?[0-9]{1,19}$/.test(text)) throw new UnreadableTextError('an integer');
  const value = BigInt(text);
  if (BigInt.asIntN(64, value) !== value) throw new UnreadableTextError('an integer of 64 bits');
  return value;
}

export function writeString(out: ByteWriter, text: string): void {
  const { length } = text;
  if (length <= SHORT_TEXT_LENGTH && writeShortAscii(out, text)) return;
  const maxBytes = length <= MAX_UNMEASURED_LENGTH ? length * 3 : Buffer.byteLength(text);
  out.reserve(MAX_VARINT_BYTES + maxBytes);
  // The size stands before the text but is known after it. Nearly always the text is ASCII and the guess is right.
  const start = out.length;
  writeInteger(out, length);
  const guessedEnd = out.length;
  const byteCount = out.bytes.write(text, guessedEnd, 'utf8');
  if (byteCount !== length) {
    out.length = start;
    const isSameSize = integerSize(byteCount) === integerSize(length);
    if (!isSameSize) {
      const end = start + integerSize(byteCount);
      out.bytes.copyWithin(end, guessedEnd, guessedEnd + byteCount);
    }
    writeInteger(out, byteCount);
  }
  out.length += byteCount;
}

/** Gives up, having written nothing, at the first character that takes more than one byte. */
function writeShortAscii(out: ByteWriter, text: string): boolean {
  const { length } = text;
  out.reserve(length + 1);
  const { bytes } = out;
  let at = out.length;
  bytes[at++] = length * 2;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return false;
    bytes[at++] = code;
  }
  out.length = at;
  return true;
}

/** Bytes that `writeInteger` takes for a number that is not negative. */
export function integerSize(length: number): number {
  let size = 1;
  for (let rest = length * 2; rest > 0x7f; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/** @throws UnreadableTextError when the text is not a bytea in hex form */
export function writeBytea(out: ByteWriter, pgText: string): void {
  const hex = byteaHex(pgText);
  const byteCount = hex.length / 2;
  writeInteger(out, Math.ceil(byteCount));
  out.reserve(byteCount);
  if (out.bytes.write(hex, out.length, 'hex') !== byteCount) {
    throw new UnreadableTextError('a bytea in hex form');
  }
  out.length += byteCount;
}

export function writeFloat(out: ByteWriter, value: number): void {
  out.reserve(4);
  out.length = out.bytes.writeFloatLE(value, out.length);
}

export function writeDouble(out: ByteWriter, value: number): void {
  out.reserve(8);
  out.length = out.bytes.writeDoubleLE(value, out.length);
}
