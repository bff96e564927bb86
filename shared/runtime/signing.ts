import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { reveal, type Secret } from './env.ts';

/** Signs texts that go out and come back: cursors and presigned URLs. */
export interface Signer {
  /** 43 characters of base64url. */
  sign(text: string): string;
  /** Whether `signature` is, character for character, what `sign` gives or gave. Takes the same time for any difference. */
  verify(text: string, signature: string): boolean;
}

/**
 * HMAC-SHA-256 with a key derived from `SECRET_KEY` for one purpose, so that a cursor can never pass for a URL. What
 * `previousKeys` signed is good too.
 */
export function createSigner(
  secretKey: Secret | string,
  purpose: string,
  previousKeys: readonly (Secret | string)[] = [],
): Signer {
  const derive = (from: Secret | string) =>
    Buffer.from(hkdfSync('sha256', reveal(from), '', `tandem/signing/${purpose}`, 32));
  const key = derive(secretKey);
  const allKeys = [key, ...previousKeys.map(derive)];
  const signWith = (each: Buffer, text: string) =>
    createHmac('sha256', each).update(text).digest('base64url');
  return {
    sign: (text) => signWith(key, text),
    verify(text, signature) {
      // Texts are compared, not bytes: base64 has several spellings of the same bytes.
      const actual = Buffer.from(signature);
      return allKeys.some((each) => {
        const expected = Buffer.from(signWith(each, text));
        return expected.length === actual.length && timingSafeEqual(expected, actual);
      });
    },
  };
}

const SECRET_PREFIX = 'whsec_';

/**
 * The key of a secret as its owner sees it, `whsec_` and base64. Made once and kept, because Node takes six times
 * as long to sign with plain bytes. @throws RangeError for an empty key
 */
export function secretToKey(secret: string): KeyObject {
  const base64 = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret;
  const key = Buffer.from(base64, 'base64');
  // An empty key would sign without complaint, and anyone could sign the same.
  if (key.length === 0) throw new RangeError('a signing secret is empty');
  return createSecretKey(key);
}

/**
 * The `webhook-signature` of Standard Webhooks: one `v1,<base64>` for each key, so that during a rotation a receiver
 * that knows either secret can verify. `timestamp` is in whole seconds since 1970; the bytes signed are those sent.
 */
export function sign(keys: readonly KeyObject[], id: string, timestamp: number, body: Buffer): string {
  return keys
    .map((key) => {
      const digest = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
      return `v1,${digest}`;
    })
    .join(' ');
}
