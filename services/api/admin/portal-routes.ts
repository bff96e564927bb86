import type { Pool } from 'pg';
import { z } from 'zod';
import { newId } from '../../../shared/domain/ids.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { recordAudit } from '../http/audit-log.ts';
import { hashKey, SCOPES } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, pageResponse } from '../http/paging.ts';
import type { PublicUrls } from '../http/public-urls.ts';
import { jsonResponse, noContent } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf, timestamp } from '../http/schema.ts';
import { findAccount } from './accounts.ts';
import {
  insertPortalLink,
  listPortalSessions,
  newPortalToken,
  type PortalSessionRow,
  revokeAllPortalSessions,
  revokePortalSession,
} from './portal-store.ts';

export interface PortalDeps {
  readonly pool: Pool;
  readonly cursorSigner: Signer;
  readonly urls: Pick<PublicUrls, 'absolute'>;
  /** A session ends this long after its last request. */
  readonly portalIdleSeconds: number;
}

/** Scopes of a link that names none: read everything, change nothing. */
export const READ_SCOPES = SCOPES.filter((scope) => scope.endsWith(':read'));

const LINK_SECONDS = { default: 300, min: 30, max: 86_400 };

/** Paths of the dashboard that a link may lead to. */
export const DASHBOARD_PATH = /^\/dashboard(?:\/[\w-]{1,100}){0,4}$/;

/** Locales of texts, numbers and times. */
export const LOCALES = ['en-US', 'en-GB', 'de-DE', 'de-AT', 'de-CH'] as const;

const linkSchema = z
  .strictObject({
    id: z.string(),
    url: z.string().meta({
      description: 'Opens the dashboard once. The code is in the fragment, which browsers send to no server.',
    }),
    expires_at: timestamp,
  })
  .meta({ id: 'PortalLink' });

export const portalSessionSchema = z
  .strictObject({
    id: z.string(),
    scopes: z.array(z.string()),
    key_id: z.string().nullable().meta({ description: 'The key that opened it. Null: a portal link.' }),
    created_at: timestamp,
    last_seen_at: timestamp,
    expires_at: timestamp.meta({ description: 'When it ends at the latest.' }),
  })
  .meta({ id: 'PortalSession' });

const EXAMPLE_SESSION: z.input<typeof portalSessionSchema> = {
  id: EXAMPLE.session,
  scopes: READ_SCOPES,
  key_id: null,
  created_at: EXAMPLE.at,
  last_seen_at: EXAMPLE.later,
  expires_at: EXAMPLE.muchLater,
};

/** The operator's routes for links into an account's dashboard, and for its sessions. */
export function portalRoutes({ pool, cursorSigner, urls, portalIdleSeconds }: PortalDeps): Route[] {
  const operator = { access: 'operator', account: 'none', tag: 'operator' } as const;
  const ofAccount = { params: { id: 'ID of the account.' } };
  const requireAccount = async (id: string) => {
    if ((await findAccount(pool, id)) === undefined) {
      throw new AppError('not_found', `There is no account ${id}.`);
    }
  };
  return [
    defineRoute({
      ...operator,
      ...ofAccount,
      method: 'POST',
      path: '/admin/accounts/{id}/portal-links',
      operationId: 'createPortalLink',
      summary: 'Make a link into the dashboard of an account',
      description:
        'Send your customer to `url`, by a redirect or as the source of a frame: it opens the dashboard once. The session reads and changes nothing, unless `scopes` allow it. It ends when it is idle or too old, when it is revoked, and with its account.',
      example: {
        params: { id: EXAMPLE.account },
        body: { next: '/dashboard/exports', expires_in: 120, theme: 'light' },
      },
      problems: { conflict: 'The account has too many links that are neither used nor expired.' },
      creates: true,
      body: z.strictObject({
        scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).optional().meta({
          description:
            'What the session may do. Without it: all scopes that end in `:read`. With `keys:write` it makes API keys with its scopes, which stay when the session ends.',
        }),
        expires_in: z
          .int()
          .min(LINK_SECONDS.min)
          .max(LINK_SECONDS.max)
          .default(LINK_SECONDS.default)
          .meta({ description: 'Seconds in which the link can be opened.' }),
        next: z
          .string()
          .max(500)
          .regex(DASHBOARD_PATH, 'must be a path of the dashboard, such as /dashboard/exports')
          .default('/dashboard')
          .meta({ description: 'The page that the link leads to.' }),
        theme: z
          .enum(['light', 'dark'])
          .optional()
          .meta({ description: 'Without it: as the browser prefers.' }),
        locale: z
          .enum(LOCALES)
          .optional()
          .meta({ description: 'Of texts, numbers and times. Without it: as the browser prefers.' }),
        hide_navigation: z
          .boolean()
          .default(false)
          .meta({ description: 'Leaves out the header and the menu, for a frame within your own.' }),
      }),
      responses: {
        201: {
          description: 'The link. It is shown only in this response.',
          schema: linkSchema,
          example: {
            id: EXAMPLE.portalLink,
            url: 'https://tandem.example.com/dashboard/enter#code=EXAMPLEonlyEXAMPLEonlyEXAMPLEonlyEXAMPLEonl',
            expires_at: EXAMPLE.later,
          },
        },
      },
      handle: ({ param, body, once }) =>
        once(async (db) => {
          const accountId = param('id');
          await requireAccount(accountId);
          const code = newPortalToken();
          const id = newId('plk');
          const scopes = [...new Set(body.scopes ?? READ_SCOPES)];
          const expiresAt = await insertPortalLink(db, {
            id,
            accountId,
            codeHash: hashKey(code),
            scopes,
            next: body.next,
            theme: body.theme ?? null,
            locale: body.locale ?? null,
            hideNavigation: body.hide_navigation,
            expiresInSeconds: body.expires_in,
          });
          if (expiresAt === undefined) {
            throw new AppError(
              'conflict',
              'The account has too many open links. Wait until some expire, or revoke its sessions, which voids them.',
            );
          }
          await recordAudit(db, {
            accountId,
            actor: 'operator',
            action: 'portal_link.created',
            subjectId: id,
            details: { scopes },
          });
          const url = `${urls.absolute('/dashboard/enter')}#code=${code}`;
          return jsonResponse(201, { id, url, expires_at: expiresAt.toISOString() });
        }),
    }),
    defineRoute({
      ...operator,
      ...ofAccount,
      method: 'GET',
      path: '/admin/accounts/{id}/portal-sessions',
      operationId: 'listPortalSessions',
      summary: 'List who is in the dashboard of an account',
      description: 'Sessions that have not ended, newest first.',
      example: { params: { id: EXAMPLE.account }, query: { limit: 10 } },
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Sessions, newest first.',
          schema: listOf(portalSessionSchema),
          example: pageOf(EXAMPLE_SESSION),
        },
      },
      async handle({ param, query }) {
        const accountId = param('id');
        await requireAccount(accountId);
        return pageResponse(
          cursorSigner,
          `portal-sessions:${accountId}`,
          query,
          (after, limit) => listPortalSessions(pool, accountId, portalIdleSeconds, after, limit),
          presentSession,
        );
      },
    }),
    defineRoute({
      ...operator,
      ...ofAccount,
      method: 'DELETE',
      path: '/admin/accounts/{id}/portal-sessions',
      operationId: 'revokePortalSessions',
      summary: 'End all dashboard sessions of an account',
      description:
        'The next request of each session is refused. Links that are not used yet become void. Presigned URLs of files that a session was given stay valid for their lifetime.',
      example: { params: { id: EXAMPLE.account } },
      responses: { 204: { description: 'All sessions have ended.' } },
      async handle({ param }) {
        const accountId = param('id');
        await requireAccount(accountId);
        await inTransaction(pool, async (db) => {
          await revokeAllPortalSessions(db, accountId);
          const entry = { accountId, actor: 'operator', action: 'portal_session.revoked' } as const;
          await recordAudit(db, { ...entry, subjectId: accountId });
        });
        return noContent();
      },
    }),
    defineRoute({
      ...operator,
      method: 'DELETE',
      path: '/admin/accounts/{id}/portal-sessions/{session_id}',
      operationId: 'revokePortalSession',
      summary: 'End a dashboard session',
      description: 'The next request of the session is refused.',
      params: { id: 'ID of the account.', session_id: 'ID of the session.' },
      example: { params: { id: EXAMPLE.account, session_id: EXAMPLE.session } },
      responses: { 204: { description: 'The session has ended.' } },
      async handle({ param }) {
        const [accountId, subjectId] = [param('id'), param('session_id')];
        await inTransaction(pool, async (db) => {
          if (!(await revokePortalSession(db, accountId, subjectId))) {
            throw new AppError('not_found', `There is no session ${subjectId} of account ${accountId}.`);
          }
          await recordAudit(db, {
            accountId,
            actor: 'operator',
            action: 'portal_session.revoked',
            subjectId,
          });
        });
        return noContent();
      },
    }),
  ];
}

function presentSession(row: PortalSessionRow): z.input<typeof portalSessionSchema> {
  return {
    id: row.id,
    scopes: row.scopes,
    key_id: row.key_id,
    created_at: row.created_at.toISOString(),
    last_seen_at: row.last_seen_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
  };
}
