import { newId } from '../../../shared/domain/ids.ts';
import type { QuotaPeriod } from '../../../shared/domain/quota-period.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Place } from '../http/paging.ts';

export interface AccountRow {
  id: string;
  name: string;
  source_id: string;
  /** Another account with the same rows. This account is refused then. */
  twin_of: string | null;
  max_running_exports: number;
  max_running_bulk: number;
  /** Null: no limit. */
  bulk_quota: string | null;
  bulk_quota_period: QuotaPeriod;
  created_at: Date;
  created_at_text: string;
}

const COLUMNS = `id, name, source_id, twin_of, max_running_exports, max_running_bulk, bulk_quota, bulk_quota_period,
  created_at, created_at::text as created_at_text`;

/** Limits of an account. An undefined limit keeps its value, or gets its default in a new account. */
export interface AccountLimits {
  readonly maxRunningExports: number | undefined;
  readonly maxRunningBulk: number | undefined;
  readonly bulkQuota: number | null | undefined;
  readonly bulkQuotaPeriod: QuotaPeriod | undefined;
}

/** @returns undefined when an account with this `source_id` exists already */
export async function insertAccount(
  db: Queryable,
  account: { name: string; sourceId: string } & AccountLimits,
): Promise<AccountRow | undefined> {
  const { rows } = await db.query<AccountRow>(
    `insert into accounts (id, name, source_id, max_running_exports, max_running_bulk, bulk_quota, bulk_quota_period)
     values ($1, $2, $3, coalesce($4, 3), coalesce($5, 3), $6, coalesce($7::jsonb, '"month"'))
     on conflict (source_id) do nothing returning ${COLUMNS}`,
    [
      newId('acct'),
      account.name,
      account.sourceId,
      account.maxRunningExports,
      account.maxRunningBulk,
      account.bulkQuota,
      periodJson(account.bulkQuotaPeriod),
    ],
  );
  return rows[0];
}

export async function findAccount(db: Queryable, id: string): Promise<AccountRow | undefined> {
  const { rows } = await db.query<AccountRow>(`select ${COLUMNS} from accounts where id = $1`, [id]);
  return rows[0];
}

/**
 * Newest first.
 *
 * @param search a part of the name in any case, or a whole ID or `source_id`
 */
export async function listAccounts(
  db: Queryable,
  search: string | undefined,
  after: Place | undefined,
  limit: number,
): Promise<AccountRow[]> {
  const { rows } = await db.query<AccountRow>(
    `select ${COLUMNS} from accounts
     where ($1::text is null or (created_at, id) < ($1::timestamptz, $2::text))
       and ($4::text is null or strpos(lower(name), lower($4)) > 0 or id = $4 or source_id = $4)
     order by created_at desc, id desc limit $3`,
    [after?.at ?? null, after?.id ?? null, limit, search ?? null],
  );
  return rows;
}

/**
 * Changes the given members only.
 *
 * @returns undefined when the account does not exist
 */
export async function updateAccount(
  db: Queryable,
  id: string,
  change: { name: string | undefined } & AccountLimits,
): Promise<AccountRow | undefined> {
  const { rows } = await db.query<AccountRow>(
    `update accounts set name = coalesce($2, name), max_running_exports = coalesce($3, max_running_exports),
       max_running_bulk = coalesce($4, max_running_bulk), bulk_quota = case when $5 then $6 else bulk_quota end,
       bulk_quota_period = coalesce($7::jsonb, bulk_quota_period)
     where id = $1 returning ${COLUMNS}`,
    [
      id,
      change.name,
      change.maxRunningExports,
      change.maxRunningBulk,
      change.bulkQuota !== undefined,
      change.bulkQuota,
      periodJson(change.bulkQuotaPeriod),
    ],
  );
  return rows[0];
}

function periodJson(period: QuotaPeriod | undefined): string | null {
  return period === undefined ? null : JSON.stringify(period);
}

/**
 * The account's canonical text.
 *
 * @throws AppError `not_found`; `conflict` when another account has the same rows
 */
export async function sourceIdOf(db: Queryable, accountId: string): Promise<string> {
  const account = await findAccount(db, accountId);
  if (account === undefined) throw new AppError('not_found', `There is no account ${accountId}.`);
  if (account.twin_of !== null) {
    throw new AppError(
      'conflict',
      `The account ${accountId} has the same records as ${account.twin_of}, which records their changes: ` +
        'ask the operator for a key of that account.',
    );
  }
  return account.source_id;
}
