import { createHash } from 'node:crypto';

/** What a header's value can carry, without the sign that escapes the rest. */
const PLAIN = /[\x21-\x24\x26-\x7e]/;

/** Servers commonly take some 8 KB of headers in all. */
const MAX_CHARACTERS = 1_000;

/**
 * The `Idempotency-Key` of an item, the same for every request of it: `<job>/<item>`, with the UTF-8 bytes of the item's ID
 * percent-encoded where they are `%`, a space, or no printable ASCII. One that would be longer than 1,000 characters is
 * `<job>/sha256:<hex>` of the ID.
 */
export function idempotencyKeyOf(jobId: string, itemId: string): string {
  const encoded = Array.from(Buffer.from(itemId), (byte) => {
    const character = String.fromCharCode(byte);
    return PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
  if (encoded.length <= MAX_CHARACTERS) return `${jobId}/${encoded}`;
  return `${jobId}/sha256:${createHash('sha256').update(itemId).digest('hex')}`;
}
