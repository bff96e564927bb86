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

/** Keys whose use is remembered while an earlier statement runs. */
const MAX_NOTED = 10_000;

/**
 * Writes down when keys were last used, to the minute: one statement at a time for all keys. No request waits for it.
 */
function createUseRecorder(db: Queryable): (ids: readonly string[]) => void {
  const used = new Set<string>();
  let isWriting = false;

  async function writeAll(): Promise<void> {
    if (isWriting) return;
    isWriting = true;
    try {
      while (used.size > 0) {
        const ids = [...used];
        used.clear();
        // A row that is locked is being noted by another process, or revoked.
        await db.query({
          name: 'note_key_use',
          text: `update api_keys set last_used_at = now() where id in (
                   select id from api_keys where id = any($1::text[]) and ${IS_UNNOTED} for no key update skip locked)`,
          values: [ids],
        });
      }
    } catch {
      // The next request with the key tries again; one that needs the control store itself says what is wrong.
    } finally {
      isWriting = false;
    }
  }

  return (ids) => {
    for (const id of ids) if (used.size < MAX_NOTED) used.add(id);
    if (used.size > 0) void writeAll();
  };
}

const IS_UNNOTED = "(last_used_at is null or last_used_at < now() - interval '1 minute')";

/**
 * The keys of the control store.
 *
 * @param reservedPool for lookups, which must not wait behind what requests do
 * @param pool writes down when keys are used
 */
export function createKeyStore(reservedPool: Queryable, pool: Queryable): KeyStore {
  const noteUse = createUseRecorder(pool);
  return createKeyLookup<FoundKey>(async (keyHashes) => {
    const { rows } = await reservedPool.query<
      FoundKey & { readonly keyHash: Buffer; readonly isUnnoted: boolean }
    >({
      name: 'find_keys_by_hash',
      text: `select id, account_id as "accountId", scopes, key_hash as "keyHash", ${IS_UNNOTED} as "isUnnoted" from api_keys
             where key_hash = any($1::bytea[]) and revoked_at is null`,
      values: [keyHashes],
    });
    noteUse(rows.flatMap(({ id, isUnnoted }) => (isUnnoted ? id : [])));
    return rows;
  });
}
