import type { Pool } from 'pg';
import { z } from 'zod';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { AUDIT_ACTIONS, AUDIT_SCOPES, type AuditRow, listAudit } from '../http/audit-log.ts';
import { type Caller, hasScope, oneAccount } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { instantSchema } from '../http/instant.ts';
import { PAGE_QUERY, pageResponse } from '../http/paging.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf, timestamp } from '../http/schema.ts';

export interface AuditDeps {
  readonly pool: Pool;
  readonly cursorSigner: Signer;
}

const AUDIT_QUERY = z.strictObject({
  ...PAGE_QUERY,
  action: z.enum(AUDIT_ACTIONS).optional().meta({ description: 'Only entries of this action.' }),
  subject_id: z
    .string()
    .max(100)
    .optional()
    .meta({ description: 'ID of an export, a bulk job, a webhook endpoint or a key.' }),
  actor: z.string().max(100).optional().meta({
    description: 'Only entries of this actor: `operator`, `link`, or the ID of a key or a session.',
  }),
  from: instantSchema.optional().meta({ description: 'At this time or later.' }),
  to: instantSchema.optional().meta({ description: 'Before this time.' }),
});

/** The whole log for the operator, and an account's own part of it for the account. */
export function auditRoutes({ pool, cursorSigner }: AuditDeps): Route[] {
  const page = (accountId: string | null, query: z.output<typeof AUDIT_QUERY>, caller: Caller) => {
    const { action, subject_id: subjectId, actor, from, to } = query;
    const filter = { accountId, action, subjectId, actor, from, to };
    return pageResponse(
      cursorSigner,
      `audit:${JSON.stringify(filter)}`,
      query,
      (after, limit) => listAudit(pool, filter, after, limit),
      (row) => presentAudit(row, hasScope(caller, 'keys:read')),
    );
  };
  const shared = {
    method: 'GET',
    query: AUDIT_QUERY,
    responses: {
      200: {
        description: 'Entries, newest first.',
        schema: listOf(auditSchema),
        example: pageOf(EXAMPLE_ENTRY),
      },
    },
  } as const;
  return [
    defineRoute({
      ...shared,
      path: '/admin/audit',
      operationId: 'listAuditEntries',
      tag: 'operator',
      summary:
        'List audit entries: creation and use of exports, bulk jobs, webhook endpoints, files and keys',
      description: 'Who did what, and when. Newest first.',
      example: { query: { action: 'account.created', limit: 10 } },
      access: 'operator',
      account: 'any',
      handle: ({ query, accountId, caller }) => page(accountId, query, caller),
    }),
    defineRoute({
      ...shared,
      path: '/audit',
      operationId: 'listAccountAuditEntries',
      tag: 'account',
      summary: "List the account's audit entries: who created, changed and downloaded what",
      description:
        'Who did what, and when. Newest first. It is about everything of the account, so the key needs the scopes to read exports, webhooks, events and bulk jobs. Names and scopes of keys need keys:read too.',
      example: { query: { limit: 10 } },
      access: AUDIT_SCOPES,
      account: 'one',
      handle: ({ query, accountId, caller }) => page(oneAccount(accountId), query, caller),
    }),
  ];
}

export const auditSchema = z
  .strictObject({
    id: z.string(),
    at: timestamp,
    account_id: z.string().nullable().meta({ description: 'Null: all accounts at once.' }),
    actor: z.string().meta({
      description:
        'operator, the ID of a key or of a session of the dashboard, or link: a request with a presigned URL.',
    }),
    action: z.string(),
    subject_id: z.string(),
    details: z.record(z.string(), z.unknown()).meta({
      description: 'Fields and their values. Of keys they are empty when the key lacks the scope keys:read.',
    }),
  })
  .meta({ id: 'AuditEntry' });

const EXAMPLE_ENTRY: z.input<typeof auditSchema> = {
  id: '42',
  at: EXAMPLE.at,
  account_id: EXAMPLE.account,
  actor: 'operator',
  action: 'account.created',
  subject_id: EXAMPLE.account,
  details: {},
};

function presentAudit(row: AuditRow, showsKeys: boolean): z.input<typeof auditSchema> {
  const { id, at, account_id, actor, action, subject_id } = row;
  const details = showsKeys || !action.startsWith('key.') ? row.details : {};
  return { id, at: at.toISOString(), account_id, actor, action, subject_id, details };
}
