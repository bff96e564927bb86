import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

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
