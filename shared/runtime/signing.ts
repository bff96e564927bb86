import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

/** Signs texts that go out and come back: cursors and presigned URLs. */
export interface Signer {
  /** 43 characters of base64url. */
  sign(text: string): string;
  /** Whether `signature` is, character for character, what `sign` gives. Takes the same time whatever differs. */
  verify(text: string, signature: string): boolean;
}

/** HMAC-SHA-256 with a key derived from `SECRET_KEY` for one purpose, so that a cursor can never pass for a URL. */
export function createSigner(secretKey: string, purpose: string): Signer {
  const key = Buffer.from(hkdfSync('sha256', secretKey, '', `tandem/signing/${purpose}`, 32));
  const sign = (text: string) => createHmac('sha256', key).update(text).digest('base64url');
  return {
    sign,
    verify(text, signature) {
      // Texts are compared, not bytes: base64 has several spellings of the same bytes.
      const expected = Buffer.from(sign(text));
      const actual = Buffer.from(signature);
      return expected.length === actual.length && timingSafeEqual(expected, actual);
    },
  };
}
