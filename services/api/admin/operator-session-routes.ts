import type { Pool } from 'pg';
import { z } from 'zod';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { recordAudit } from '../http/audit-log.ts';
import { operatorKeyHash } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, pageResponse } from '../http/paging.ts';
import { noContent } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf, timestamp } from '../http/schema.ts';
import {
  listOperatorSessions,
  type OperatorSessionRow,
  revokeAllOperatorSessions,
  revokeOperatorSession,
} from './operator-session-store.ts';

export interface OperatorSessionDeps {
  readonly pool: Pool;
  readonly cursorSigner: Signer;
  readonly adminKey: Secret;
}

const sessionSchema = z
  .strictObject({
    id: z.string(),
    created_at: timestamp,
    last_seen_at: timestamp,
    expires_at: timestamp.meta({ description: 'When it ends at the latest.' }),
  })
  .meta({ id: 'OperatorSession' });

const EXAMPLE_SESSION: z.input<typeof sessionSchema> = {
  id: EXAMPLE.operatorSession,
  created_at: EXAMPLE.at,
  last_seen_at: EXAMPLE.later,
  expires_at: EXAMPLE.muchLater,
};

const ENTRY = { accountId: null, actor: 'operator', action: 'operator_session.revoked' } as const;

/** The sessions of the operator's dashboard. */
export function operatorSessionRoutes({ pool, cursorSigner, adminKey }: OperatorSessionDeps): Route[] {
  const operator = { access: 'operator', account: 'none', tag: 'operator' } as const;
  return [
    defineRoute({
      ...operator,
      method: 'GET',
      path: '/admin/operator-sessions',
      operationId: 'listOperatorSessions',
      summary: 'List who is in the operator’s pages of the dashboard',
      description: 'Sessions that the operator’s key has opened and that have not ended, newest first.',
      example: { query: { limit: 10 } },
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Sessions, newest first.',
          schema: listOf(sessionSchema),
          example: pageOf(EXAMPLE_SESSION),
        },
      },
      handle: ({ query }) =>
        pageResponse(
          cursorSigner,
          'operator-sessions',
          query,
          (after, limit) => listOperatorSessions(pool, operatorKeyHash(adminKey), after, limit),
          present,
        ),
    }),
    defineRoute({
      ...operator,
      method: 'DELETE',
      path: '/admin/operator-sessions',
      operationId: 'revokeOperatorSessions',
      summary: 'End all sessions of the operator’s pages',
      description: 'The next request of each session is refused. Another `ADMIN_KEY` ends them too.',
      example: {},
      responses: { 204: { description: 'All sessions have ended.' } },
      async handle() {
        await inTransaction(pool, async (db) => {
          await revokeAllOperatorSessions(db);
          await recordAudit(db, { ...ENTRY, subjectId: 'all' });
        });
        return noContent();
      },
    }),
    defineRoute({
      ...operator,
      method: 'DELETE',
      path: '/admin/operator-sessions/{session_id}',
      operationId: 'revokeOperatorSession',
      summary: 'End a session of the operator’s pages',
      description: 'The next request of the session is refused.',
      params: { session_id: 'ID of the session.' },
      example: { params: { session_id: EXAMPLE.operatorSession } },
      responses: { 204: { description: 'The session has ended.' } },
      async handle({ param }) {
        const subjectId = param('session_id');
        await inTransaction(pool, async (db) => {
          if (!(await revokeOperatorSession(db, subjectId))) {
            throw new AppError('not_found', `There is no session ${subjectId}.`);
          }
          await recordAudit(db, { ...ENTRY, subjectId });
        });
        return noContent();
      },
    }),
  ];
}

function present({ id, created_at, last_seen_at, expires_at }: OperatorSessionRow) {
  return {
    id,
    created_at: created_at.toISOString(),
    last_seen_at: last_seen_at.toISOString(),
    expires_at: expires_at.toISOString(),
  } satisfies z.input<typeof sessionSchema>;
}
