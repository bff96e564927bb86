import type { Pool } from 'pg';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { actorOf, type Caller } from './caller.ts';
import type { Place } from './paging.ts';

export const AUDIT_ACTIONS = [
  'export.created',
  'export.paused',
  'export.resumed',
  'export.cancelled',
  'export.deleted',
  'export.link_given',
  'export.downloaded',
  'bulk.created',
  'bulk.run',
  'bulk.paused',
  'bulk.resumed',
  'bulk.cancelled',
  'bulk.downloaded',
  'webhook.created',
  'webhook.updated',
  'webhook.paused',
  'webhook.resumed',
  'webhook.secret_rotated',
  'webhook.replayed',
  'webhook.deleted',
  'event.redelivered',
  'events.read',
  'account.created',
  'account.updated',
  'key.created',
  'key.revoked',
  'portal_link.created',
  'portal_session.opened',
  'portal_session.revoked',
  'operator_session.opened',
  'operator_session.revoked',
] as const;

/** The entries are about everything of an account, so a key needs the right to read its jobs, endpoints and events. */
export const AUDIT_SCOPES = ['exports:read', 'webhooks:read', 'events:read', 'bulk:read'] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export interface AuditEntry {
  /** Null: all accounts at once. */
  readonly accountId: string | null;
  /** `operator`, the ID of a key or of a session of the dashboard, or `link` for a presigned URL. */
  readonly actor: string;
  readonly action: AuditAction;
  readonly subjectId: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Call it in the transaction of the recorded change, so that both are committed or neither. */
export async function recordAudit(db: Queryable, entry: AuditEntry): Promise<void> {
  await db.query({
    name: 'record_audit',
    text: `insert into audit_log (account_id, actor, action, subject_id, details) values ($1, $2, $3, $4, $5)`,
    values: [
      entry.accountId,
      entry.actor,
      entry.action,
      entry.subjectId,
      JSON.stringify(entry.details ?? {}),
    ],
  });
}

/**
 * Changes one job as a caller asks, and records it, in one transaction.
 *
 * @param change returns the changed row; what it throws leaves everything as it was
 */
export function changeRecorded<Row extends { readonly account_id: string | null }>(
  pool: Pool,
  { caller, action, id }: { readonly caller: Caller; readonly action: AuditAction; readonly id: string },
  change: (db: Queryable) => Promise<Row>,
): Promise<Row> {
  return inTransaction(pool, async (db) => {
    const row = await change(db);
    await recordAudit(db, { accountId: row.account_id, actor: actorOf(caller), action, subjectId: id });
    return row;
  });
}

export interface AuditRow {
  id: string;
  created_at_text: string;
  at: Date;
  account_id: string | null;
  actor: string;
  action: string;
  subject_id: string;
  details: Record<string, unknown>;
}

export interface AuditFilter {
  /** Null finds entries of every account. */
  readonly accountId: string | null;
  readonly action: string | undefined;
  readonly subjectId: string | undefined;
  readonly actor: string | undefined;
  /** RFC 3339, inclusive. */
  readonly from: string | undefined;
  /** RFC 3339, exclusive. */
  readonly to: string | undefined;
}

/** Newest first. */
export async function listAudit(
  db: Queryable,
  { accountId, action, subjectId, actor, from, to }: AuditFilter,
  after: Place | undefined,
  limit: number,
): Promise<AuditRow[]> {
  const { rows } = await db.query<AuditRow>(
    `select id::text, at::text as created_at_text, at, account_id, actor, action, subject_id, details
       from audit_log
      where ($1::text is null or account_id = $1) and ($2::text is null or action = $2)
        and ($3::text is null or subject_id = $3)
        and ($4::timestamptz is null or (at, id) < ($4::timestamptz, $5::bigint))
        and ($7::text is null or actor = $7)
        and at >= coalesce($8::timestamptz, '-infinity') and at < coalesce($9::timestamptz, 'infinity')
      order by at desc, audit_log.id desc limit $6`,
    [
      accountId,
      action ?? null,
      subjectId ?? null,
      after?.at ?? null,
      after?.id ?? null,
      limit,
      actor ?? null,
      from ?? null,
      to ?? null,
    ],
  );
  return rows;
}

/** @returns how many were removed, at most `limit` */
export async function sweepAudit(db: Queryable, before: Date, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    'delete from audit_log where id in (select id from audit_log where at < $1 order by at limit $2)',
    [before, limit],
  );
  return rowCount ?? 0;
}
