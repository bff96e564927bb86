import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { findKeysByHash } from './api-keys.ts';
import type { KeyStore } from './caller.ts';
import { createKeyLookup } from './key-lookup.ts';

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
