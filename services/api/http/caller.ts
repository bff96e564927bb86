import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../../../shared/runtime/env.ts';
import { AppError } from '../../../shared/runtime/errors.ts';

/** What a key may be used for. A key made without naming any has all of them. */
export const SCOPES = [
  'exports:read',
  'exports:write',
  'webhooks:read',
  'webhooks:write',
  'events:read',
  'bulk:read',
  'bulk:write',
] as const;

export type Scope = (typeof SCOPES)[number];

/** Who may call a route: everyone, the operator, or whoever has a key of this scope (the operator has them all). */
export type Access = 'public' | 'operator' | Scope;

/**
 * Who sends a request. Nobody asks who calls a public route, a probe or a presigned link: it has no right to anything else.
 * `keyPrint`: what tells this key from every other without giving it away.
 */
export type Caller =
  | typeof ANONYMOUS
  | { readonly kind: 'operator'; readonly keyPrint: string }
  | {
      readonly kind: 'account';
      readonly accountId: string;
      readonly keyId: string;
      readonly keyPrint: string;
      readonly scopes: readonly string[];
    };

export const ANONYMOUS = { kind: 'anonymous', keyPrint: '' } as const;

/** Who did it, for the audit log. */
export function actorOf(caller: Caller): string {
  return caller.kind === 'account' ? caller.keyId : caller.kind;
}

/** Whose share of this process the request takes; undefined: nobody's, as of the operator and of public routes. */
export function limitedAccountOf(caller: Caller): string | undefined {
  return caller.kind === 'account' ? caller.accountId : undefined;
}

export interface FoundKey {
  readonly id: string;
  readonly accountId: string;
  readonly scopes: readonly string[];
}

export interface KeyStore {
  /** @returns undefined when no such key is in use */
  findKey(keyHash: Buffer): Promise<FoundKey | undefined>;
}

/** A new key: 256 random bits. Shown once; only its hash is kept. */
export function newKey(): string {
  return `tk_${randomBytes(32).toString('base64url')}`;
}

/** Keys are random and long, so that one round of SHA-256 is as good as a slow hash here. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** The key of an `Authorization` header; undefined when it has none. */
export function keyOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
}

/** @throws AppError `unauthorized` when there is no key, or none that is in use */
export async function authenticate(
  authorization: string | undefined,
  adminKey: Secret,
  keys: KeyStore,
): Promise<Caller> {
  const key = keyOf(authorization);
  if (key === undefined) {
    throw new AppError('unauthorized', 'Send a key, with Authorization: Bearer <key>.');
  }
  const keyHash = hashKey(key);
  // Hashes are of equal length, and comparing them in constant time tells nothing about the operator's key.
  if (timingSafeEqual(keyHash, hashKey(adminKey.reveal()))) {
    return { kind: 'operator', keyPrint: keyHash.toString('base64') };
  }
  const found = key.startsWith('tk_') ? await keys.findKey(keyHash) : undefined;
  if (found === undefined) throw new AppError('unauthorized', 'The key is unknown or revoked.');
  return {
    kind: 'account',
    accountId: found.accountId,
    keyId: found.id,
    keyPrint: keyHash.toString('base64'),
    scopes: found.scopes,
  };
}

/** @throws AppError `forbidden`, or `unauthorized` to one who has shown no key */
export function authorize(caller: Caller, access: Access): void {
  if (caller.kind === 'operator' || access === 'public') return;
  if (caller.kind === 'anonymous') {
    throw new AppError('unauthorized', 'Send a key, with Authorization: Bearer <key>.');
  }
  if (access === 'operator') throw new AppError('forbidden', 'Only the operator may send this request.');
  if (!caller.scopes.includes(access)) {
    throw new AppError('forbidden', `This key lacks the scope ${access}.`, { extra: { scope: access } });
  }
}
