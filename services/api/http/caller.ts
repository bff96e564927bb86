import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../../../shared/runtime/env.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { invalid } from './validate.ts';

/** Scopes of keys. */
export const SCOPES = [
  'exports:read',
  'exports:write',
  'webhooks:read',
  'webhooks:write',
  'events:read',
  'bulk:read',
  'bulk:write',
  'keys:read',
  'keys:write',
] as const;

export type Scope = (typeof SCOPES)[number];

/** Who may call a route: everyone, the operator, or a key with this scope or all of these. The operator has all scopes. */
export type Access = 'public' | 'operator' | Scope | readonly Scope[];

/** Every key of an account, whatever its scopes. */
export const ANY_KEY: Access = [];

/** Scopes that a key needs for a route. */
export function scopesOf(access: Access): readonly Scope[] {
  if (access === 'public' || access === 'operator') return [];
  return typeof access === 'string' ? [access] : access;
}

export function hasScope(caller: Caller, scope: Scope): boolean {
  return caller.kind === 'operator' || (caller.kind === 'account' && caller.scopes.includes(scope));
}

/**
 * Who sends a request. A public route (a probe, a presigned link) does not ask, and its caller has no other
 * rights. `keyPrint` identifies the key without revealing it.
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

/** The actor in the audit log. */
export function actorOf(caller: Caller): string {
  return caller.kind === 'account' ? caller.keyId : caller.kind;
}

/** The account whose limits apply to the request. Undefined: no limits, as for the operator and public routes. */
export function limitedAccountOf(caller: Caller): string | undefined {
  return caller.kind === 'account' ? caller.accountId : undefined;
}

export interface FoundKey {
  readonly id: string;
  readonly accountId: string;
  readonly scopes: readonly string[];
}

export interface KeyStore {
  /** @returns undefined for an unknown or revoked key */
  findKey(keyHash: Buffer): Promise<FoundKey | undefined>;
}

/** Creates a key: 256 random bits. It is shown once, and only its hash is stored. */
export function newKey(): string {
  return `tk_${randomBytes(32).toString('base64url')}`;
}

/** Keys are long and random, so one round of SHA-256 is as good as a slow hash. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

const operatorKeyHashes = new WeakMap<Secret, Buffer>();

/** The hash of the operator's key, which every request with a key is compared with. */
export function operatorKeyHash(adminKey: Secret): Buffer {
  const known = operatorKeyHashes.get(adminKey);
  if (known !== undefined) return known;
  const hash = hashKey(adminKey.reveal());
  operatorKeyHashes.set(adminKey, hash);
  return hash;
}

/** The key of an `Authorization` header; undefined when it has none. */
export function keyOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
}

/** Made once, because strangers may send thousands of requests, and an error collects its stack: an eighth of a refusal's CPU time. */
const NO_KEY = new AppError('unauthorized', 'Send a key, with Authorization: Bearer <key>.');
const UNKNOWN_KEY = new AppError('unauthorized', 'The key is unknown or revoked.');

/** @throws AppError `unauthorized` for a missing, unknown or revoked key */
export async function authenticate(
  authorization: string | undefined,
  adminKey: Secret,
  keys: KeyStore,
): Promise<Caller> {
  const key = keyOf(authorization);
  if (key === undefined) throw NO_KEY;
  const keyHash = hashKey(key);
  // Hashes have equal length, and a comparison in constant time reveals nothing about the operator's key.
  if (timingSafeEqual(keyHash, operatorKeyHash(adminKey))) {
    return { kind: 'operator', keyPrint: keyHash.toString('base64') };
  }
  const found = key.startsWith('tk_') ? await keys.findKey(keyHash) : undefined;
  if (found === undefined) throw UNKNOWN_KEY;
  return {
    kind: 'account',
    accountId: found.accountId,
    keyId: found.id,
    keyPrint: keyHash.toString('base64'),
    scopes: found.scopes,
  };
}

/** @throws AppError `forbidden`, or `unauthorized` for an anonymous caller */
export function authorize(caller: Caller, access: Access): void {
  if (caller.kind === 'operator' || access === 'public') return;
  if (caller.kind === 'anonymous') throw NO_KEY;
  if (access === 'operator') throw new AppError('forbidden', 'Only the operator may send this request.');
  const missing = scopesOf(access).find((scope) => !hasScope(caller, scope));
  if (missing !== undefined) {
    throw new AppError('forbidden', `This key lacks the scope ${missing}.`, { extra: { scope: missing } });
  }
}

/**
 * Whose data a route works on. A customer's key decides it; the operator names an account. `one`: exactly one
 * account. `one_or_all`: one, or all with `"*"`. `any`: one, or all when none is named. `none`: no account.
 */
export type AccountRule = 'one' | 'one_or_all' | 'any' | 'none';

/** The operator's name for all accounts at once. */
const ALL_ACCOUNTS = '*';

/**
 * Resolves the account of a request; null means all accounts.
 *
 * @throws AppError `invalid` when the operator gives no account or an unknown one, or a customer gives an
 *   account; `unauthorized` for an anonymous caller of a route that needs an account
 */
export async function accountOf(
  caller: Caller,
  rule: AccountRule,
  named: { pointer: string; accountId: string | undefined },
  exists: (accountId: string) => Promise<boolean>,
): Promise<string | null> {
  const { pointer, accountId } = named;
  if (caller.kind === 'account') {
    if (accountId === undefined || accountId === caller.accountId) return caller.accountId;
    throw invalid([{ pointer, detail: 'only the operator may give an account' }]);
  }
  if (rule === 'none') return null;
  if (caller.kind === 'anonymous')
    throw new AppError('unauthorized', 'This request is for one account, by its key.');
  if (accountId === undefined) {
    if (rule === 'any') return null;
    throw invalid([{ pointer, detail: 'the operator must give an account' }]);
  }
  if (accountId === ALL_ACCOUNTS) {
    if (rule !== 'one') return null;
    throw invalid([{ pointer, detail: 'must be one account, not all accounts' }]);
  }
  if (!(await exists(accountId))) throw invalid([{ pointer, detail: 'there is no such account' }]);
  return accountId;
}

/** The account of a route whose rule is `one`. */
export function oneAccount(accountId: string | null): string {
  if (accountId === null) throw new AppError('invalid', 'This request is for one account only.');
  return accountId;
}
