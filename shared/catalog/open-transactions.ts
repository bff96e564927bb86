import type { Queryable } from '../postgres/queryable.ts';

/** An open transaction of the source that may have changed something. */
export interface OpenTransaction {
  /** Of its session. Null for a prepared transaction. */
  readonly pid: number | null;
  readonly ageSeconds: number;
  /** Its `application_name`, or the name of a prepared one. */
  readonly application: string;
  /** As `pg_stat_activity` has it, or `prepared`. */
  readonly state: string;
}

/** A transaction of a service of Tandem on the source. */
export interface OwnTransaction {
  readonly pid: number;
  readonly ageSeconds: number;
  readonly application: string;
  readonly state: string;
  /** It has a snapshot, so VACUUM keeps every row version that is younger. */
  readonly holdsVacuum: boolean;
}

/** What the source says of the sessions of Tandem. */
export interface OwnSessions {
  /** The oldest transactions first. */
  readonly transactions: readonly OwnTransaction[];
  /** Transaction IDs given out since the oldest snapshot that any of them holds; 0 without one. */
  readonly xminAge: number;
  /** Since when the slot is read without a break: capture has no other sign of life than its session. */
  readonly slotReadSince: Date | undefined;
}

type TextRow = Readonly<Record<'pid' | 'age_seconds' | 'application_name' | 'state', string | null>>;

const FIND_OPEN = `
select * from (
  select pid::text, extract(epoch from clock_timestamp() - xact_start)::int::text as age_seconds,
    application_name, state
  from pg_stat_activity
  where backend_xid is not null and pid <> pg_backend_pid()
  union all
  select null, extract(epoch from clock_timestamp() - prepared)::int::text, 'prepared ' || gid, 'prepared'
  from pg_prepared_xacts
) open order by age_seconds::int desc nulls last limit 5`;

/**
 * The five oldest transactions that the feed, and so an account's first export, waits for. Transactions of other roles are
 * visible only with `pg_monitor`.
 */
export async function findOpenTransactions(
  ask: (sql: string) => Promise<{ rows: readonly unknown[] }>,
): Promise<OpenTransaction[]> {
  const { rows } = await ask(FIND_OPEN);
  return (rows as readonly TextRow[]).map(
    ({ pid, age_seconds: age, application_name: application, state }) => ({
      pid: pid === null ? null : Number(pid),
      ageSeconds: Number(age ?? 0),
      application: application ?? '',
      state: state ?? '',
    }),
  );
}

/** One JSON, so that the answer is the same whatever parsers the session has. Every service names its sessions. */
const FIND_OWN = `
select json_build_object(
  'slotReadSince', (select a.backend_start from pg_replication_slots s join pg_stat_activity a on a.pid = s.active_pid
    where s.slot_name = $1),
  'xminAge', (select coalesce(max(age(backend_xmin)), 0) from pg_stat_activity
    where datname = current_database() and application_name like 'tandem %' and pid <> pg_backend_pid()),
  'transactions', (select coalesce(json_agg(json_build_object('pid', pid, 'ageSeconds', age, 'application', application_name,
      'state', state, 'holdsVacuum', holds_vacuum)), '[]') from (
    select pid, greatest(0, extract(epoch from clock_timestamp() - xact_start)) as age, application_name,
      coalesce(state, '') as state, backend_xmin is not null as holds_vacuum
    from pg_stat_activity
    where datname = current_database() and application_name like 'tandem %' and xact_start is not null
      and pid <> pg_backend_pid()
    order by xact_start limit 5) own)
)::text as facts`;

/** The five oldest transactions that Tandem holds on the source, and since when it reads the slot. */
export async function findOwnSessions(db: Queryable, slotName: string): Promise<OwnSessions> {
  const { rows } = await db.query<{ facts: string }>(FIND_OWN, [slotName]);
  const {
    slotReadSince,
    xminAge = 0,
    transactions,
  } = JSON.parse(rows[0]?.facts ?? '{"transactions":[]}') as {
    slotReadSince?: string | null;
    xminAge?: number;
    transactions: OwnTransaction[];
  };
  return {
    transactions,
    xminAge,
    slotReadSince: slotReadSince == null ? undefined : new Date(slotReadSince),
  };
}
