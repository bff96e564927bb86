import type { Queryable } from '../../postgres/queryable.ts';
import { enqueueOutbox } from '../outbox.ts';
import type { ExportStatus } from '../state-machines.ts';

// Pause and resume of an export. A paused one holds nothing in the source and no place of its account, and keeps what
// it has read.

/** Longest pause. What an export has read takes storage, and its keys take space in the control store. */
const MAX_PAUSE_DAYS = 7;

/** Share of the retention of events for which a read may be paused. The rest is for its end, which needs the events. */
const PAUSED_SHARE = 0.75;

/** Why a running export can't be paused. */
export type PauseRefusal =
  /** Its rows are read under one snapshot, which would have to be held, or would be lost. */
  | 'one_snapshot'
  /** Everything is read, and the files are being assembled. */
  | 'read'
  /** It started so long ago that the events it needs would expire during a pause. */
  | 'too_old';

export interface PauseOutcome {
  readonly status: ExportStatus;
  /** Only for a running export. */
  readonly refusal?: PauseRefusal;
}

interface FoundRow {
  status: ExportStatus;
  is_single: boolean;
  is_read: boolean;
  expires_at: Date;
  is_over: boolean;
}

const FIND = `
select status, snapshot is not null and snapshot_kind is distinct from 'chunked' as is_single, planned_at is not null as is_read,
  until.expires_at, until.expires_at <= now() as is_over
from exports e, lateral (
  select least(now() + $3 * interval '1 day', case when snapshot_kind = 'chunked' then
    (nullif(read_since->>'taken_at', ''))::timestamptz + $4 * interval '1 day' end) as expires_at
) until
where ($1::text is null or account_id = $1) and id = $2 for update of e`;

const PAUSE = `
update exports set status = 'paused', phase = 'queued', paused_at = coalesce(paused_at, now()), pause_expires_at = $2
where id = $1`;

/** The run ends without being counted, and so does every read of a chunk: later writes of either are refused. */
const END_RUN = `
update exports set attempt = attempt + 1, run_count = greatest(run_count - 1, 0), failed_runs = 0, setback_runs = 0, gave_way_runs = 0, lease_owner = null, lease_expires_at = null,
  snapshot = null, start_lsn = null, seal_token = null, sealed_lsn = null
where id = $1`;

/** With a new attempt number, which no row in Kafka has. */
const GIVE_CHUNKS_BACK = `
with held as (
  select c.resource, c.chunk from export_chunks c where c.export_id = $1 and c.state = 'reading'
  order by c.resource, c.chunk for no key update
)
update export_chunks c set state = 'planned', attempt = e.attempt, tries = greatest(c.tries - 1, 0), rows_extracted = 0,
  started_at = null, lease_owner = null, lease_expires_at = null
from exports e, held h
where e.id = $1 and c.export_id = $1 and c.resource = h.resource and c.chunk = h.chunk`;

/**
 * Pauses an export that waits, or whose rows are not all read. Chunks that are read stay read; those being read are
 * read again. A single-snapshot export can be paused only before it takes its snapshot. Call it in a transaction: it
 * locks the export's row.
 *
 * @param accountId null finds exports of every account
 * @returns undefined when there is no such export
 */
export async function pauseExport(
  db: Queryable,
  accountId: string | null,
  id: string,
  eventRetentionDays: number,
): Promise<PauseOutcome | undefined> {
  const { rows } = await db.query<FoundRow>(FIND, [
    accountId,
    id,
    MAX_PAUSE_DAYS,
    eventRetentionDays * PAUSED_SHARE,
  ]);
  const [found] = rows;
  if (found === undefined) return undefined;
  const { status } = found;
  if (status !== 'pending' && status !== 'running') return { status };
  if (found.is_read) return { status, refusal: 'read' };
  if (found.is_single) return { status, refusal: 'one_snapshot' };
  if (found.is_over) return { status, refusal: 'too_old' };
  await db.query(PAUSE, [id, found.expires_at]);
  if (status === 'running') {
    await db.query(END_RUN, [id]);
    await db.query(GIVE_CHUNKS_BACK, [id]);
  }
  return { status: 'paused' };
}

/**
 * Puts a paused export into the queue again. Call it in a transaction: it locks the export's row.
 *
 * @param accountId null finds exports of every account
 * @returns the status after it; undefined when there is no such export
 */
export async function resumeExport(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<ExportStatus | undefined> {
  const { rows } = await db.query<{ status: ExportStatus }>(
    'select status from exports where ($1::text is null or account_id = $1) and id = $2 for update',
    [accountId, id],
  );
  const status = rows[0]?.status;
  if (status !== 'paused') return status;
  await db.query(`update exports set status = 'pending', pause_expires_at = null where id = $1`, [id]);
  await enqueueOutbox(db, [{ topic: 'commands', key: id, type: 'ExtractExport', payload: { job_id: id } }]);
  return 'pending';
}

const OVERDUE = {
  code: 'pause_expired',
  message:
    'The export was paused for longer than it may be, and its rows are too old to be brought up to date. Create it again.',
};

/** Fails exports that were not resumed in time, with their `JobFailed`. @returns their number, at most `limit` */
export async function failOverduePauses(db: Queryable, now: Date, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `with ended as (
       update exports set status = 'failed', phase = 'done', completed_at = $1, error = $3::jsonb
       where id in (select id from exports where status = 'paused' and pause_expires_at <= $1
                    limit $2 for update skip locked)
       returning id
     )
     insert into outbox (topic, key, type, payload)
     select 'jobs', id, 'JobFailed', $3::jsonb || jsonb_build_object('job_id', id, 'kind', 'export') from ended`,
    [now, limit, JSON.stringify(OVERDUE)],
  );
  return rowCount ?? 0;
}
