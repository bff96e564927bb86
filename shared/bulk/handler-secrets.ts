import type { KeyObject } from 'node:crypto';
import { type EnvReader, Secret } from '../runtime/env.ts';
import { secretToKey } from '../runtime/signing.ts';

/** As Standard Webhooks asks for. */
const LEAST_BYTES = 24;

/** Two while one takes over from another: each request carries a signature by either. */
const MAX_SECRETS = 2;

/** Reads `BULK_HANDLER_SECRETS`: what requests to the handlers of HTTP operations are signed with; empty, they are not. */
export function readHandlerSecrets(read: EnvReader): readonly Secret[] {
  const texts = read.list('BULK_HANDLER_SECRETS', []);
  if (texts.length > MAX_SECRETS || !texts.every(isLongEnough)) {
    const advice = 'make one with: echo "whsec_$(openssl rand -base64 32)"';
    read.refuse(
      `BULK_HANDLER_SECRETS takes one secret, or two during a rotation, each whsec_ and at least ${LEAST_BYTES} bytes in base64; ${advice}`,
    );
  }
  return texts.map((secret) => new Secret(secret));
}

/** @param secrets as `readHandlerSecrets` has accepted them */
export const toSigningKeys = (secrets: readonly Secret[]): KeyObject[] =>
  secrets.map((secret) => secretToKey(secret.reveal()));

function isLongEnough(secret: string): boolean {
  const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1] ?? '';
  return Buffer.from(base64, 'base64').length >= LEAST_BYTES;
}
