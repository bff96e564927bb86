import type { Pool } from 'pg';
import { z } from 'zod';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { recordAudit } from '../http/audit-log.ts';
import { SCOPES } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, pageResponse } from '../http/paging.ts';
import { jsonResponse, noContent } from '../http/response.ts';
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
} from '../keys/key-schemas.ts';
import { createKey, revokeKey } from '../keys/key-store.ts';
import { keyPage } from '../keys/routes.ts';
import {
  accountLimitsSchema,
  accountSchema,
  EXAMPLE_ACCOUNT,
  presentAccount,
  toLimits,
} from './account-schemas.ts';
import { findAccount, insertAccount, listAccounts, updateAccount } from './accounts.ts';
import type { SourceFacts } from './source-facts.ts';

export interface AccountDeps {
  readonly pool: Pool;
  readonly cursorSigner: Signer;
  readonly source: Pick<SourceFacts, 'accountText'>;
}

/**
 * Scopes of a key that is created without any. `keys:write` has to be requested explicitly: keys that such a key
 * creates survive its revocation.
 */
const DEFAULT_SCOPES = SCOPES.filter((scope) => scope !== 'keys:write');

const name = z.string().min(1).max(200);

/** The operator's routes for accounts and their keys. */
export function accountRoutes({ pool, cursorSigner, source }: AccountDeps): Route[] {
  const operator = { access: 'operator', account: 'none' } as const;
  const noAccount = (id: string) => new AppError('not_found', `There is no account ${id}.`);
  return [
    defineRoute({
      ...operator,
      method: 'POST',
      path: '/admin/accounts',
      operationId: 'createAccount',
      tag: 'operator',
      summary: 'Create an account',
      description:
        'One account for each value of the account columns. Its first export waits until the feed covers it.',
      example: { body: { name: 'Acme', source_id: 'a0ee', limits: { max_running_exports: 3 } } },
      problems: {
        conflict: 'An account with this `source_id` exists.',
      },
      creates: true,
      body: z.strictObject({
        name,
        source_id: z
          .string()
          .min(1)
          .max(500)
          .meta({
            description:
              'Value of the account columns, in any spelling that PostgreSQL accepts. The response has the canonical text: ' +
              '`a0ee…` for `A0EE…` of a uuid, `77` for `77.0` of a numeric.',
          }),
        limits: accountLimitsSchema.optional(),
      }),
      responses: {
        201: {
          description: 'The account.',
          schema: accountSchema,
          example: EXAMPLE_ACCOUNT,
          headers: ['Location'],
        },
      },
      handle: ({ body, once }) =>
        once(async (db) => {
          const sourceId = await source.accountText(body.source_id);
          const row = await insertAccount(db, {
            name: body.name,
            sourceId,
            ...toLimits(body.limits),
          });
          if (row === undefined) {
            throw new AppError('conflict', `An account with the source_id "${sourceId}" already exists.`, {
              errors: [{ pointer: '/source_id', detail: 'is in use' }],
            });
          }
          await recordAudit(db, {
            accountId: row.id,
            actor: 'operator',
            action: 'account.created',
            subjectId: row.id,
          });
          return jsonResponse(201, presentAccount(row), { location: `/admin/accounts/${row.id}` });
        }),
    }),
    defineRoute({
      ...operator,
      method: 'GET',
      path: '/admin/accounts',
      operationId: 'listAccounts',
      tag: 'operator',
      summary: 'List accounts',
      description: 'Newest first.',
      example: { query: { limit: 10 } },
      query: z.strictObject({
        ...PAGE_QUERY,
        search: z
          .string()
          .min(1)
          .max(200)
          .optional()
          .meta({ description: 'Part of the name in any case, or a whole ID or `source_id`.' }),
      }),
      responses: {
        200: {
          description: 'Accounts, newest first.',
          schema: listOf(accountSchema),
          example: pageOf(EXAMPLE_ACCOUNT),
        },
      },
      handle: ({ query }) =>
        pageResponse(
          cursorSigner,
          `accounts:${query.search ?? ''}`,
          query,
          (after, limit) => listAccounts(pool, query.search, after, limit),
          presentAccount,
        ),
    }),
    defineRoute({
      ...operator,
      method: 'GET',
      path: '/admin/accounts/{id}',
      operationId: 'getAccountAsOperator',
      tag: 'operator',
      summary: 'Show an account',
      description: 'Shows the name, the `source_id` and the limits.',
      params: { id: 'ID of the account.' },
      example: { params: { id: EXAMPLE.account } },
      responses: {
        200: { description: 'The account.', schema: accountSchema, example: EXAMPLE_ACCOUNT },
      },
      handle: async ({ param }) => {
        const row = await findAccount(pool, param('id'));
        if (row === undefined) throw noAccount(param('id'));
        return jsonResponse(200, presentAccount(row));
      },
    }),
    defineRoute({
      ...operator,
      method: 'PATCH',
      path: '/admin/accounts/{id}',
      operationId: 'updateAccount',
      tag: 'operator',
      summary: "Change an account's name and limits",
      description: 'Changes the fields that the body has. Limits take effect for the next job.',
      params: { id: 'ID of the account.' },
      example: {
        params: { id: EXAMPLE.account },
        body: { limits: { bulk_quota: { items: 100_000, period: 'month' } } },
      },
      body: z.strictObject({ name: name.optional(), limits: accountLimitsSchema.optional() }),
      responses: {
        200: { description: 'The account.', schema: accountSchema, example: EXAMPLE_ACCOUNT },
      },
      handle: async ({ param, body }) => {
        const row = await inTransaction(pool, async (db) => {
          const changed = await updateAccount(db, param('id'), { name: body.name, ...toLimits(body.limits) });
          if (changed === undefined) throw noAccount(param('id'));
          const { id } = changed;
          const details = { ...body };
          await recordAudit(db, {
            accountId: id,
            actor: 'operator',
            action: 'account.updated',
            subjectId: id,
            details,
          });
          return changed;
        });
        return jsonResponse(200, presentAccount(row));
      },
    }),
    defineRoute({
      ...operator,
      method: 'POST',
      path: '/admin/accounts/{id}/keys',
      operationId: 'createKey',
      tag: 'operator',
      summary: 'Create a key',
      description:
        'Without `scopes`, the key has all of them except `keys:write`, which lets it make further keys. Only its hash is stored.',
      params: { id: 'ID of the account.' },
      example: {
        params: { id: EXAMPLE.account },
        body: { name: 'Warehouse', scopes: ['exports:read', 'exports:write'] },
      },
      problems: {
        conflict: 'The account has as many keys as it may have. Revoke one that is not in use.',
      },
      creates: true,
      body: z.strictObject({ name: keyName.optional(), scopes: keyScopes.default(DEFAULT_SCOPES) }),
      responses: {
        201: {
          description: 'The key. It is shown only in this response.',
          schema: newKeySchema,
          example: EXAMPLE_NEW_KEY,
        },
      },
      handle: ({ param, body, once }) =>
        once(async (db) => {
          const accountId = param('id');
          if ((await findAccount(db, accountId)) === undefined) throw noAccount(accountId);
          const { key, ...row } = await createKey(
            db,
            { accountId, name: body.name, scopes: body.scopes, makers: [] },
            'operator',
          );
          return jsonResponse(201, { ...presentKey(row), key });
        }),
    }),
    defineRoute({
      ...operator,
      method: 'GET',
      path: '/admin/accounts/{id}/keys',
      operationId: 'listKeys',
      tag: 'operator',
      summary: "List an account's keys without their secrets",
      description: 'Newest first. Revoked keys are listed too.',
      params: { id: 'ID of the account.' },
      example: { params: { id: EXAMPLE.account } },
      query: KEYS_QUERY,
      responses: {
        200: {
          description: 'Keys, newest first.',
          schema: listOf(keySchema),
          example: pageOf(EXAMPLE_KEY),
        },
      },
      handle: async ({ param, query }) => {
        const accountId = param('id');
        if ((await findAccount(pool, accountId)) === undefined) throw noAccount(accountId);
        return keyPage({ pool, cursorSigner }, accountId, query);
      },
    }),
    defineRoute({
      ...operator,
      method: 'DELETE',
      path: '/admin/accounts/{id}/keys/{key_id}',
      operationId: 'revokeKey',
      tag: 'operator',
      summary: 'Revoke a key',
      description:
        'The next request with the key is refused. Keys that it made stay valid: `with_made` revokes them too.',
      params: { id: 'ID of the account.', key_id: 'ID of the key.' },
      example: { params: { id: EXAMPLE.account, key_id: EXAMPLE.key } },
      query: REVOKE_QUERY,
      responses: { 204: { description: 'Revoked. The next request with the key is refused.' } },
      handle: async ({ param, query }) => {
        const withMade = query.with_made === 'true';
        await inTransaction(pool, (db) => revokeKey(db, param('id'), param('key_id'), 'operator', withMade));
        return noContent();
      },
    }),
  ];
}
