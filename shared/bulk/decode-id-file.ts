import { isUtf8 } from 'node:buffer';

/** A file that can't be read as a list of IDs, whatever they are IDs of. The text is for who sent it. */
export class IdFileError extends Error {
  override readonly name = 'IdFileError';
}

/** What files begin with that are sent by mistake, in hexadecimal digits. */
const SIGNATURES: readonly (readonly [bytes: string, what: string])[] = [
  ['fffe', 'UTF-16: save it as UTF-8'],
  ['feff', 'UTF-16: save it as UTF-8'],
  ['504b0304', 'a zip archive or an Excel workbook: save the column of IDs as CSV in UTF-8'],
  ['d0cf11e0', 'an Excel workbook: save the column of IDs as CSV in UTF-8'],
  ['1f8b', 'compressed by gzip: send it uncompressed'],
  ['28b52ffd', 'compressed by zstd: send it uncompressed'],
];
const SIGNATURE_BYTES = 4;

/**
 * The text of a file of IDs, in pieces as its bytes come in. Only UTF-8 without NUL is taken: any other encoding would make other
 * IDs of these bytes, or none.
 *
 * @param lineNow the line that the text so far ends on, by the count of who reads it
 * @throws IdFileError saying what the file is, or which byte on which line is wrong, after the text before it
 */
export async function* decodeIdFile(
  chunks: AsyncIterable<Buffer>,
  lineNow: () => number,
): AsyncGenerator<string> {
  let offset = 0;
  let open: Buffer = Buffer.alloc(0);
  function* decode(bytes: Buffer): Generator<string> {
    const at = faultAt(bytes);
    yield bytes.toString('utf8', 0, at);
    if (at !== undefined) throw faultOf(bytes[at] ?? 0, offset + at, lineNow());
    offset += bytes.length;
  }
  let isChecked = false;
  for await (const chunk of chunks) {
    const bytes = open.length === 0 ? chunk : Buffer.concat([open, chunk]);
    const isShort = !isChecked && bytes.length < SIGNATURE_BYTES;
    const openBytes = isShort ? bytes.length : openBytesOf(bytes);
    open = Buffer.from(bytes.subarray(bytes.length - openBytes));
    if (isShort) continue;
    if (!isChecked) requireText(bytes);
    isChecked = true;
    yield* decode(bytes.subarray(0, bytes.length - openBytes));
  }
  if (!isChecked) requireText(open);
  yield* decode(open);
}

function requireText(bytes: Buffer): void {
  const start = bytes.toString('hex', 0, SIGNATURE_BYTES);
  const found = SIGNATURES.find(([signature]) => start.startsWith(signature));
  if (found !== undefined) throw new IdFileError(`The file is ${found[1]}.`);
}

/** Bytes at the end that begin a character or a line end, whose rest comes with the next chunk. */
function openBytesOf(bytes: Buffer): number {
  if (bytes.at(-1) === CARRIAGE_RETURN) return 1;
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte >= 0xc0) return sizeOf(byte) > back ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

const CARRIAGE_RETURN = 0x0d;

/** Of a character that begins with this byte. */
function sizeOf(lead: number): number {
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

/** Where the first NUL or the first bytes that are no UTF-8 stand. */
function faultAt(bytes: Buffer): number | undefined {
  const nul = bytes.indexOf(0);
  const before = nul < 0 ? bytes : bytes.subarray(0, nul);
  if (isUtf8(before)) return nul < 0 ? undefined : nul;
  let at = 0;
  for (;;) {
    const size = sizeOf(before[at] ?? 0);
    if (!isUtf8(before.subarray(at, at + size))) return at;
    at += size;
  }
}

function faultOf(byte: number, offset: number, line: number): IdFileError {
  // A text in Latin letters has one in every second byte.
  if (byte === 0 && offset < 2) return new IdFileError('The file is UTF-16: save it as UTF-8.');
  const place = `line ${line}, byte ${offset} of the file`;
  if (byte === 0) return new IdFileError(`The file holds a NUL character: ${place}.`);
  const shown = byte.toString(16).toUpperCase();
  return new IdFileError(
    `The file is not UTF-8: ${place} is 0x${shown}. Save it as UTF-8 (it may be Windows-1252 or another encoding).`,
  );
}
