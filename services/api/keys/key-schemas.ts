import { z } from 'zod';
import { SCOPES } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY } from '../http/paging.ts';
import { secretFields, timestamp } from '../http/schema.ts';
import { KEY_STATUSES, type KeyRow } from './key-store.ts';

export const keyName = z.string().min(1).max(200);

export const keyScopes = z.array(z.enum(SCOPES)).min(1).max(SCOPES.length);

export const KEYS_QUERY = z.strictObject({
  ...PAGE_QUERY,
  status: z
    .enum(KEY_STATUSES)
    .optional()
    .meta({ description: 'Only keys that are in use, or only revoked ones. Without it: all.' }),
});

export const REVOKE_QUERY = z.strictObject({
  with_made: z.enum(['true', 'false']).optional().meta({
    description:
      'true: revokes the keys that the key made too, and those that they made. Also for a key that is revoked already.',
  }),
});

export const keySchema = z
  .strictObject({
    id: z.string(),
    account_id: z.string(),
    name: z.string().nullable(),
    prefix: z
      .string()
      .nullable()
      .meta({ description: 'How the key begins. Null: the key is older than this field.' }),
    scopes: z.array(z.string()),
    made_by: z.string().nullable().meta({
      description: 'ID of the key that made it. Null: the operator did, or the key is older than this field.',
    }),
    created_at: timestamp,
    last_used_at: timestamp
      .nullable()
      .meta({ description: 'The last request with the key, to the minute. Null: no request is known.' }),
    revoked_at: timestamp.nullable(),
  })
  .meta({ id: 'Key' });

export const newKeySchema = keySchema
  .extend(secretFields('key', 'Shown only in this response.'))
  .meta({ id: 'NewKey' });

export const EXAMPLE_KEY: z.input<typeof keySchema> = {
  id: EXAMPLE.key,
  account_id: EXAMPLE.account,
  name: 'Warehouse',
  prefix: 'tk_3q2-7w',
  scopes: ['exports:read', 'exports:write'],
  made_by: null,
  created_at: EXAMPLE.at,
  last_used_at: EXAMPLE.later,
  revoked_at: null,
};

export const EXAMPLE_NEW_KEY: z.input<typeof newKeySchema> = {
  ...EXAMPLE_KEY,
  last_used_at: null,
  key: 'tk_3q2-7wEXAMPLEonlyEXAMPLEonlyEXAMPLEonly0Q',
};

export function presentKey(row: KeyRow): z.input<typeof keySchema> {
  const { id, account_id, name, prefix, scopes } = row;
  return {
    id,
    account_id,
    name,
    prefix,
    scopes,
    made_by: row.makers.at(-1) ?? null,
    created_at: row.created_at.toISOString(),
    last_used_at: row.last_used_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
  };
}
