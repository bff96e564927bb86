import type { Pool } from 'pg';
import { z } from 'zod';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { actorOf, hasScope, oneAccount } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { pageResponse } from '../http/paging.ts';
import { jsonResponse, noContent, type TextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import {
  EXAMPLE_KEY,
  EXAMPLE_NEW_KEY,
  KEYS_QUERY,
  keyName,
  keySchema,
  keyScopes,
  newKeySchema,
  presentKey,
  REVOKE_QUERY,
} from './key-schemas.ts';
import { createKey, holdCaller, listKeys, revokeKey } from './key-store.ts';

export interface KeyDeps {
  readonly pool: Pool;
  readonly cursorSigner: Signer;
}

/** The keys of an account, as the account itself manages them. */
export function keyRoutes({ pool, cursorSigner }: KeyDeps): Route[] {
  const shared = { tag: 'account', account: 'one' } as const;
  return [
    defineRoute({
      ...shared,
      method: 'GET',
      path: '/keys',
      operationId: 'listAccountKeys',
      summary: "List the account's API keys without their secrets",
      description: 'Newest first. Revoked keys are listed too.',
      example: { query: { limit: 10 } },
      access: 'keys:read',
      query: KEYS_QUERY,
      responses: {
        200: { description: 'Keys, newest first.', schema: listOf(keySchema), example: pageOf(EXAMPLE_KEY) },
      },
      handle({ query, accountId }) {
        return keyPage({ pool, cursorSigner }, oneAccount(accountId), query);
      },
    }),
    defineRoute({
      ...shared,
      method: 'POST',
      path: '/keys',
      operationId: 'createAccountKey',
      summary: 'Create an API key that may do no more than yours',
      description:
        'The key belongs to the account of the request. Its `scopes` must be among those of the key that makes it. Only its hash is stored: the key is shown only in this response.',
      example: { body: { name: 'Warehouse', scopes: ['exports:read', 'exports:write'] } },
      problems: {
        conflict: 'The account has as many keys as it may have. Revoke one that is not in use.',
        forbidden:
          'The key lacks the scope `keys:write`, or one of the scopes that the new key is to have. `scope` names it.',
      },
      access: 'keys:write',
      creates: true,
      body: z.strictObject({
        name: keyName.optional().meta({ description: 'For people.' }),
        scopes: keyScopes.meta({ description: 'What the key may do.' }),
      }),
      responses: {
        201: {
          description: 'The key. It is shown only in this response.',
          schema: newKeySchema,
          example: EXAMPLE_NEW_KEY,
        },
      },
      handle: ({ body, accountId, caller, once }) =>
        once(async (db) => {
          const excess = body.scopes.find((scope) => !hasScope(caller, scope));
          if (excess !== undefined) {
            throw new AppError(
              'forbidden',
              `The new key may not have the scope ${excess}: this key lacks it itself.`,
              {
                extra: { scope: excess },
                errors: [{ pointer: '/scopes', detail: `must not have ${excess}` }],
              },
            );
          }
          const makers = caller.kind === 'account' ? await holdCaller(db, caller.keyId) : [];
          const wanted = { accountId: oneAccount(accountId), name: body.name, scopes: body.scopes, makers };
          const { key, ...row } = await createKey(db, wanted, actorOf(caller));
          return jsonResponse(201, { ...presentKey(row), key });
        }),
    }),
    defineRoute({
      ...shared,
      method: 'DELETE',
      path: '/keys/{id}',
      operationId: 'revokeAccountKey',
      summary: 'Revoke an API key of the account',
      description:
        'The next request with the key is refused, and dashboard sessions that it opened end. Any key of the account can be revoked, also the one that sends this request. Keys that it made stay valid: `with_made` revokes them too.',
      params: { id: 'ID of the key.' },
      example: { params: { id: EXAMPLE.key }, query: { with_made: 'true' } },
      access: 'keys:write',
      query: REVOKE_QUERY,
      responses: { 204: { description: 'Revoked. The next request with the key is refused.' } },
      async handle({ param, accountId, caller, query }) {
        const withMade = query.with_made === 'true';
        await inTransaction(pool, (db) =>
          revokeKey(db, oneAccount(accountId), param('id'), actorOf(caller), withMade),
        );
        return noContent();
      },
    }),
  ];
}

/** A page of an account's keys, for the account itself and for the operator. */
export function keyPage(
  { pool, cursorSigner }: KeyDeps,
  accountId: string,
  query: z.output<typeof KEYS_QUERY>,
): Promise<TextResponse> {
  return pageResponse(
    cursorSigner,
    `keys:${accountId}:${query.status ?? ''}`,
    query,
    (after, limit) => listKeys(pool, accountId, query.status, after, limit),
    presentKey,
  );
}
