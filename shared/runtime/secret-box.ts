import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/** Encrypts what is kept at rest. A text sealed for one purpose can't be opened for another. */
export interface SecretBox {
  /** `k1.<nonce>.<ciphertext and tag>`; two seals of the same text differ. */
  seal(plaintext: string): string;
  /** @throws Error when the text was altered, or sealed with another key or for another purpose */
  open(sealed: string): string;
}

/** Says which key sealed a text, so that a later key can be told apart while texts of both are kept. */
const KEY_ID = 'k1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM with a key derived from `SECRET_KEY` for one purpose. Nonces are random: the limit of 2^32 seals per
 * key is far beyond the number of secrets a control store can hold.
 */
export function createSecretBox(secretKey: string, purpose: string): SecretBox {
  const key = Buffer.from(hkdfSync('sha256', secretKey, '', `tandem/secret-box/${purpose}`, 32));
  return {
    seal(plaintext) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `${KEY_ID}.${nonce.toString('base64url')}.${body.toString('base64url')}`;
    },
    open(sealed) {
      const [keyId, nonceText, bodyText] = sealed.split('.');
      if (keyId !== KEY_ID || nonceText === undefined || bodyText === undefined) {
        throw new Error('a sealed secret has an unknown form');
      }
      const body = Buffer.from(bodyText, 'base64url');
      const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonceText, 'base64url'), {
        authTagLength: TAG_BYTES,
      });
      try {
        decipher.setAuthTag(body.subarray(-TAG_BYTES));
        return decipher.update(body.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch (cause) {
        throw new Error('a sealed secret does not open: it was altered, or SECRET_KEY is another one', {
          cause,
        });
      }
    },
  };
}

/** The purpose of endpoint secrets: sealed by the api, opened by the dispatcher. */
export const WEBHOOK_SECRETS = 'webhook-secrets';
