import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { reveal, type Secret } from './env.ts';

/** Signs texts that go out and come back: cursors and presigned URLs. */
export interface Signer {
  /** 43 characters of base64url. */
  sign(text: string): string;
  /** Whether `signature` is, character for character, what `sign` gives or gave. Tells nothing by its time of how it differs. */
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
