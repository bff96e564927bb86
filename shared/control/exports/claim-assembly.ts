import type { Queryable } from '../../postgres/queryable.ts';
import { LEASE_SECONDS } from '../export-lease.ts';

/** An export whose parts this writer is to put together. */
export interface ClaimedAssembly {
  readonly exportId: string;
  /** Null: all accounts. */
  readonly accountId: string | null;
  readonly resources: readonly string[];
  /** As the API resolved it. */
  readonly request: unknown;
  readonly snapshot: unknown;
  /** Commits at or after it are not in an export of a past moment, `X/Y`; null for any other. */
  readonly cutLsn: string | null;
  readonly createdAt: Date;
  readonly runAttempt: number;
  /** Claims of this assembly so far, this one included. */
  readonly tryCount: number;
  /** Fences everything the claim writes. Another one for each claim. */
  readonly owner: string;
}

/**
 * Ready: all chunks are known, read and written, and the feed has passed the seal. `extracted` is asked for too, because
 * the last row may be written before its reader has noted its own count.
 */
const CLAIM = `
with ready as (
  select e.id from exports e
  where e.status = 'running' and e.planned_at is not null and e.sealed_lsn is not null
    and (e.assembly_lease_expires_at is null or e.assembly_lease_expires_at < now())
    and not exists (
      select from export_chunks c
      where c.export_id = e.id and (c.rows_written is null or c.state <> 'extracted'))
  order by e.created_at
  limit 1
  for update of e skip locked
)
update exports e
set phase = 'assembling', assembly_owner = $1, assembly_count = e.assembly_count + 1,
  assembly_lease_expires_at = now() + $2 * interval '1 second'
from ready where e.id = ready.id
returning e.id, e.account_id, e.resources, e.request, e.snapshot, e.cut_lsn::text, e.created_at, e.run_attempt, e.assembly_count`;

interface ClaimRow {
  id: string;
  account_id: string | null;
  resources: string[];
  request: unknown;
  snapshot: unknown;
  cut_lsn: string | null;
  created_at: Date;
  run_attempt: number;
  assembly_count: number;
}

/** Claims the oldest export that is ready to be assembled, or returns undefined. Never two writers get the same claim. */
export async function claimAssembly(db: Queryable, owner: string): Promise<ClaimedAssembly | undefined> {
  const { rows } = await db.query<ClaimRow>({
    name: 'claim_assembly',
    text: CLAIM,
    values: [owner, LEASE_SECONDS],
  });
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    exportId: row.id,
    accountId: row.account_id,
    resources: row.resources,
    request: row.request,
    snapshot: row.snapshot,
    cutLsn: row.cut_lsn,
    createdAt: row.created_at,
    runAttempt: row.run_attempt,
    tryCount: row.assembly_count,
    owner,
  };
}

/** @returns false when the claim is over: the export is being cancelled or has ended, or another writer has it */
export async function renewAssembly(db: Queryable, { exportId, owner }: ClaimedAssembly): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'renew_assembly',
    text: `update exports set assembly_lease_expires_at = now() + $3 * interval '1 second'
           where id = $1 and assembly_owner = $2 and status = 'running'`,
    values: [exportId, owner, LEASE_SECONDS],
  });
  return rowCount === 1;
}

/** Gives the claim back; the export may be claimed again after `delayMs`. `isCounted: false` takes the try back too. */
export async function releaseAssembly(
  db: Queryable,
  { exportId, owner }: ClaimedAssembly,
  { delayMs, isCounted }: { delayMs: number; isCounted: boolean },
): Promise<void> {
  await db.query(
    `update exports
     set assembly_owner = null, assembly_lease_expires_at = now() + $3 * interval '1 millisecond',
       assembly_count = assembly_count - $4
     where id = $1 and assembly_owner = $2`,
    [exportId, owner, delayMs, isCounted ? 0 : 1],
  );
}

/** When the export that was started last, of those that run, was started; undefined when none runs. */
export async function readLatestStart(db: Queryable): Promise<{ agoMs: number } | undefined> {
  const { rows } = await db.query<{ ago_ms: number | null }>({
    name: 'read_latest_start',
    text: `select extract(epoch from now() - max(started_at))::double precision * 1000 as ago_ms
           from exports where status = 'running'`,
  });
  const agoMs = rows[0]?.ago_ms ?? null;
  return agoMs === null ? undefined : { agoMs };
}
