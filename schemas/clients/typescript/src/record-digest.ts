import { createHasher } from './file-stream.ts';
import { membersOf, objectOf } from './raw-json.ts';

/** Records are in one of this many buckets, by the hash of their key. */
export const BUCKETS = 256;
const MODULUS = 2n ** 256n;
const UTF8 = new TextEncoder();

/** 64 hexadecimal digits. Without a hasher of the runtime by its Web Crypto, as in browsers. */
async function sha256(text: string): Promise<string> {
  const hasher = createHasher();
  if (hasher !== undefined) {
    hasher.update(UTF8.encode(text));
    return hasher.digest('hex');
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', UTF8.encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The text of a record whose hash is its digest: no nulls, and the members in the order of their names. */
export function canonicalOf(record: string): string {
  const present = [...membersOf(record)].filter(([, json]) => json !== 'null');
  return objectOf(present.sort(([a], [b]) => compareNames(a, b)));
}

/** By code points, as UTF-8 bytes are ordered. */
function compareNames(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  // Of a pair that differs in its second half, the first halves are equal, and the second ones have the order.
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}

/** The SHA-256 of a record, in hexadecimal. */
export function digestOf(record: string): Promise<string> {
  return sha256(canonicalOf(record));
}

/** @param key the key columns as a JSON object without spaces, as events have it */
export async function bucketOf(key: string): Promise<number> {
  return Number.parseInt((await sha256(key)).slice(0, 2), 16);
}

/** Number of records and the sum of their digests. The order in which they are added does not matter. */
export class DigestSum {
  rows = 0;
  #sum = 0n;

  add(digest: string, rows = 1): void {
    this.rows += rows;
    this.#sum = (this.#sum + BigInt(`0x${digest}`)) % MODULUS;
  }

  /** 64 hexadecimal digits. */
  get digest(): string {
    return this.#sum.toString(16).padStart(64, '0');
  }
}
