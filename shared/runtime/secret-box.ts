import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { type EnvReader, reveal, Secret } from './env.ts';

/** Encrypts what is kept at rest. A text sealed for one purpose can't be opened for another. */
export interface SecretBox {
  /** `k1.<nonce>.<ciphertext and tag>`; two seals of the same text differ. */
  seal(plaintext: string): string;
  /** @throws Error when the text was altered, or sealed with a key that is not known or for another purpose */
  open(sealed: string): string;
  /** Whether it was sealed with the key that seals now, so that no earlier one is needed for it. */
  isCurrent(sealed: string): boolean;
}

/** The form of a sealed text. Which key opens it is found by trying: the tag decides. */
const FORM = 'k1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM with a key derived from `SECRET_KEY` for one purpose. Nonces are random: the limit of 2^32 seals per
 * key is far beyond the number of secrets a control store can hold. What `previousKeys` sealed is opened too.
 */
export function createSecretBox(
  secretKey: Secret | string,
  purpose: string,
  previousKeys: readonly (Secret | string)[] = [],
): SecretBox {
  const derive = (from: Secret | string) =>
    Buffer.from(hkdfSync('sha256', reveal(from), '', `tandem/secret-box/${purpose}`, 32));
  const key = derive(secretKey);
  const allKeys = [key, ...previousKeys.map(derive)];
  return {
    seal(plaintext) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `${FORM}.${nonce.toString('base64url')}.${body.toString('base64url')}`;
    },
    open(sealed) {
      for (const each of allKeys) {
        const plaintext = tryOpen(each, sealed);
        if (plaintext !== undefined) return plaintext;
      }
      throw new Error('a sealed secret does not open: it was altered, or its SECRET_KEY is not among ours');
    },
    isCurrent: (sealed) => tryOpen(key, sealed) !== undefined,
  };
}

/** @returns undefined when it was sealed with another key, or altered. @throws Error when it is no sealed text */
function tryOpen(key: Buffer, sealed: string): string | undefined {
  const [form, nonceText, bodyText] = sealed.split('.');
  if (form !== FORM || nonceText === undefined || bodyText === undefined) {
    throw new Error('a sealed secret has an unknown form');
  }
  const body = Buffer.from(bodyText, 'base64url');
  try {
    const nonce = Buffer.from(nonceText, 'base64url');
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(body.subarray(-TAG_BYTES));
    return decipher.update(body.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  } catch {
    return undefined;
  }
}

/** The purpose of endpoint secrets: sealed by the api, opened by the dispatcher. */
export const WEBHOOK_SECRETS = 'webhook-secrets';

/**
 * An endpoint's own headers as the control store keeps them: one sealed text, since they often hold a token of the receiver. An
 * object is what earlier versions kept, in clear; the api seals those at its start.
 */
export type StoredHeaders = string | Readonly<Record<string, string>>;

export function sealHeaders(headers: Readonly<Record<string, string>>, box: Pick<SecretBox, 'seal'>): string {
  return box.seal(JSON.stringify(headers));
}

/** @throws Error when the text was altered, or sealed with a key that is not known */
export function openHeaders(
  stored: StoredHeaders,
  box: Pick<SecretBox, 'open'>,
): Readonly<Record<string, string>> {
  return typeof stored === 'string' ? JSON.parse(box.open(stored)) : stored;
}

/** The key that seals and signs from now on, and those before it, which still open and verify. */
export interface SecretKeys {
  readonly current: Secret;
  readonly previous: readonly Secret[];
}

const LEAST_CHARACTERS = 32;

/** Each is tried in turn, and none should be needed for long. */
const MAX_PREVIOUS = 4;

/** Reads `SECRET_KEY`, and `SECRET_KEY_PREVIOUS`, a list, while one key takes over from another. */
export function readSecretKeys(read: EnvReader): SecretKeys {
  const current = read.secret('SECRET_KEY');
  const previous = read.list('SECRET_KEY_PREVIOUS', []).map((key) => new Secret(key));
  const advice = `must have at least ${LEAST_CHARACTERS} characters; make one with: openssl rand -hex 32`;
  if (isTooShort(current, LEAST_CHARACTERS)) read.refuse(`SECRET_KEY ${advice}`);
  if (previous.some((key) => isTooShort(key, LEAST_CHARACTERS))) {
    read.refuse(`SECRET_KEY_PREVIOUS: each key in it ${advice}`);
  }
  if (previous.length > MAX_PREVIOUS)
    read.refuse(`SECRET_KEY_PREVIOUS may list at most ${MAX_PREVIOUS} keys`);
  return { current, previous };
}

/** Of one that is set; an empty one is reported as missing. */
export function isTooShort(key: Secret, leastCharacters: number): boolean {
  const { length } = key.reveal();
  return length > 0 && length < leastCharacters;
}
