import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { KeyStore } from '../http/caller.ts';
import { createKeyLookup } from '../http/key-lookup.ts';
import { findKeysByHash } from './api-keys.ts';

/** The keys of the control store. */
export function createKeyStore(db: Queryable): KeyStore {
  return createKeyLookup(async (keyHashes) => {
    const rows = await findKeysByHash(db, keyHashes);
    return rows.map(({ id, account_id: accountId, scopes, key_hash: keyHash }) => ({
      id,
      accountId,
      scopes,
      keyHash,
    }));
  });
}
