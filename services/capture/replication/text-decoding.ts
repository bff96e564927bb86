import { isUtf8 } from 'node:buffer';
import pg from 'pg';
import { quoteLiteral } from '../../../shared/postgres/quote.ts';

/** Decodes a stream's bytes to text. */
export interface TextDecoding {
  /** As the server names it; for the operator. */
  readonly encoding: string;
  isText(bytes: Buffer, start: number, end: number): boolean;
  /** Decodes bytes for which `isText` is true. */
  decode(bytes: Buffer, start: number, end: number): string;
}

const decodeUtf8 = (bytes: Buffer, start: number, end: number) => bytes.toString('utf8', start, end);

/** The server guarantees UTF-8. */
export const CHECKED_UTF8: TextDecoding = { encoding: 'UTF-8', isText: () => true, decode: decodeUtf8 };

/** Any bytes, decoded as UTF-8. */
export const UNCHECKED_UTF8: TextDecoding = {
  encoding: 'UTF-8',
  isText: (bytes, start, end) => isUtf8(bytes.subarray(start, end)),
  decode: decodeUtf8,
};

const FIRST_HIGH = 0x80;
const LAST_HIGH = 0xff;

/** @param characters of the bytes from 0x80 on; undefined for a byte that stands for no character */
export function singleByteDecoding(
  encoding: string,
  characters: readonly (string | undefined)[],
): TextDecoding {
  const isAscii = (bytes: Buffer, start: number, end: number) => {
    for (let at = start; at < end; at += 1) if ((bytes[at] ?? 0) >= FIRST_HIGH) return false;
    return true;
  };
  return {
    encoding,
    isText(bytes, start, end) {
      for (let at = start; at < end; at += 1) {
        const byte = bytes[at] ?? 0;
        if (byte >= FIRST_HIGH && characters[byte - FIRST_HIGH] === undefined) return false;
      }
      return true;
    },
    decode(bytes, start, end) {
      if (isAscii(bytes, start, end)) return bytes.toString('latin1', start, end);
      let text = '';
      for (let at = start; at < end; at += 1) {
        const byte = bytes[at] ?? 0;
        text += byte < FIRST_HIGH ? String.fromCharCode(byte) : (characters[byte - FIRST_HIGH] ?? '\uFFFD');
      }
      return text;
    },
  };
}

/** Single-byte server encodings. PostgreSQL accepts any byte in them, even one that stands for no character. */
const SINGLE_BYTE = /^(?:LATIN\d+|WIN\d+|ISO_8859_\d+|KOI8[RU])$/;

/**
 * Sets the connection's client encoding so that no value can end the stream. A server that converts ends the stream at
 * the first text that it can't convert, again at each start. So it sends the bytes as they are, and they are decoded
 * here. The meaning of each byte is queried from the server, so that a text in the feed equals the text in a file.
 * Multi-byte encodings are checked by the server when a value is written, and are left to the server.
 */
export async function askForTexts(client: pg.Client): Promise<TextDecoding> {
  const { rows } = await client.query<{ server_encoding: string }>('show server_encoding');
  const encoding = rows[0]?.server_encoding ?? 'UTF8';
  const isRaw = encoding === 'SQL_ASCII' || SINGLE_BYTE.test(encoding);
  if (!isRaw) return CHECKED_UTF8;
  const decoding =
    encoding === 'SQL_ASCII'
      ? UNCHECKED_UTF8
      : singleByteDecoding(encoding, await readCharacters(client, encoding, FIRST_HIGH, LAST_HIGH));
  // node-pg sets UTF8 when it connects, which overrides the connection's options.
  await client.query(`set client_encoding to ${quoteLiteral(encoding)}`);
  return decoding;
}

/** UNTRANSLATABLE_CHARACTER, CHARACTER_NOT_IN_REPERTOIRE */
const NO_CHARACTER: readonly string[] = ['22P05', '22021'];

/** One refused byte fails the whole statement, so a range is halved until such bytes are alone. */
async function readCharacters(
  client: pg.Client,
  encoding: string,
  from: number,
  to: number,
): Promise<(string | undefined)[]> {
  try {
    const { rows } = await client.query<{ utf8: string }>(
      `select encode(convert(set_byte('\\x00'::bytea, 0, b), ${quoteLiteral(encoding)}, 'UTF8'), 'hex') as utf8
       from generate_series(${from}, ${to}) as b order by b`,
    );
    return rows.map(({ utf8 }) => Buffer.from(utf8, 'hex').toString('utf8'));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || !NO_CHARACTER.includes(error.code ?? '')) throw error;
    if (from === to) return [undefined];
    const middle = Math.floor((from + to) / 2);
    return [
      ...(await readCharacters(client, encoding, from, middle)),
      ...(await readCharacters(client, encoding, middle + 1, to)),
    ];
  }
}
