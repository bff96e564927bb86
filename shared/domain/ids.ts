import { randomFillSync } from 'node:crypto';

/** Crockford's alphabet: sorts like the numbers it stands for, and has no I, L, O or U to misread. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

export type IdPrefix =
  | 'exp'
  | 'blk'
  | 'whk'
  | 'acct'
  | 'key'
  | 'req'
  | 'file'
  | 'plk'
  | 'ses'
  | 'ops'
  | 'test';

/** 16 random bytes give 16 characters of 5 bits; the 3 bits over are dropped. */
const RANDOM_BYTES = 16;

/** Drawn for 256 IDs at once: each draw costs as much as the rest of an ID several times, and every request has one. */
const drawn = Buffer.alloc(256 * RANDOM_BYTES);
let used = drawn.length;

/** A new ID: prefix, 48 bits of time in milliseconds, 80 random bits (the layout of a ULID). Later IDs sort after earlier ones. */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  let time = '';
  let rest = nowMs;
  for (let i = 0; i < 10; i++) {
    time = ALPHABET[rest % 32] + time;
    rest = Math.floor(rest / 32);
  }
  let random = '';
  if (used === drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  for (const end = used + RANDOM_BYTES; used < end; used += 1) random += ALPHABET[(drawn[used] ?? 0) & 31];
  return `${prefix}_${time}${random}`;
}

/** Of an export or a bulk job. */
export function isJobId(text: string | undefined): boolean {
  return text !== undefined && (isId('exp', text) || isId('blk', text));
}

export function isId(prefix: IdPrefix, text: string): boolean {
  return text.startsWith(`${prefix}_`) && /^[0-9A-HJKMNP-TV-Z]{26}$/.test(text.slice(prefix.length + 1));
}
