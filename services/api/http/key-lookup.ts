import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { FoundKey, KeyStore } from './caller.ts';

/** Hashes per query. Further ones wait for the next query. */
const MAX_KEYS = 1_000;

interface Waiter<Found> {
  readonly keyHash: Buffer;
  resolve(found: Found | undefined): void;
  reject(error: unknown): void;
}

/** Finds the keys in use among these hashes. */
export type FindKeys<Found> = (
  keyHashes: readonly Buffer[],
) => Promise<readonly (Found & { readonly keyHash: Buffer })[]>;

export interface KeyLookup<Found> {
  /** @returns undefined for an unknown key */
  findKey(keyHash: Buffer): Promise<Found | undefined>;
}

/**
 * Looks up all waiting keys in one query, one query at a time. So a flood of unknown keys costs the control
 * store no more queries than a few known keys, and no known key is refused for it. Nothing is cached: a
 * revoked key ends at once.
 */
export function createKeyLookup<Found>(findKeys: FindKeys<Found>): KeyLookup<Found> {
  const waiting: Waiter<Found>[] = [];
  let isAsking = false;

  async function askAll(): Promise<void> {
    if (isAsking) return;
    isAsking = true;
    for (let asked = waiting.splice(0, MAX_KEYS); asked.length > 0; asked = waiting.splice(0, MAX_KEYS)) {
      try {
        const rows = await findKeys(asked.map(({ keyHash }) => keyHash));
        const found = new Map(rows.map((row) => [row.keyHash.toString('base64'), row]));
        for (const { keyHash, resolve } of asked) resolve(found.get(keyHash.toString('base64')));
      } catch (error) {
        for (const { reject } of asked) reject(error);
      }
    }
    isAsking = false;
  }

  return {
    findKey(keyHash) {
      const { promise, resolve, reject } = Promise.withResolvers<Found | undefined>();
      waiting.push({ keyHash, resolve, reject });
      void askAll();
      return promise;
    },
  };
}

/** The keys of the control store. */
export function createKeyStore(db: Queryable): KeyStore {
  return createKeyLookup<FoundKey>(async (keyHashes) => {
    const { rows } = await db.query<FoundKey & { readonly keyHash: Buffer }>({
      name: 'find_keys_by_hash',
      text: `select id, account_id as "accountId", scopes, key_hash as "keyHash" from api_keys
             where key_hash = any($1::bytea[]) and revoked_at is null`,
      values: [keyHashes],
    });
    return rows;
  });
}
