import type { Pool } from 'pg';
import { z } from 'zod';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { AUDIT_ACTIONS, listAudit } from '../http/audit-log.ts';
import { answerPage, PAGE_QUERY } from '../http/paging.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { presentAudit } from '../present.ts';
import { auditSchema, listOf } from '../wire.ts';

export interface AuditDeps {
  readonly pool: Pool;
  readonly cursorSigner: Signer;
}

export function auditRoutes({ pool, cursorSigner }: AuditDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/admin/audit',
      summary:
        'List audit entries: creation and use of exports, bulk jobs, webhook endpoints, files and keys',
      access: 'operator',
      account: 'any',
      query: z.strictObject({
        ...PAGE_QUERY,
        action: z.enum(AUDIT_ACTIONS).optional(),
        subject_id: z
          .string()
          .max(100)
          .optional()
          .meta({ description: 'ID of an export, a bulk job, a webhook endpoint or a key.' }),
      }),
      answers: { 200: { description: 'Entries, newest first.', schema: listOf(auditSchema) } },
      handle: ({ query, accountId }) => {
        const filter = { accountId, action: query.action, subjectId: query.subject_id };
        return answerPage(
          cursorSigner,
          `audit:${accountId ?? '*'}:${query.action ?? ''}:${query.subject_id ?? ''}`,
          query,
          (after, limit) => listAudit(pool, filter, after, limit),
          presentAudit,
        );
      },
    }),
  ];
}
