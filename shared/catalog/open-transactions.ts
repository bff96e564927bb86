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
