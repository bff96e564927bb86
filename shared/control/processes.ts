import type { Queryable } from '../postgres/queryable.ts';

/** A process of a service, as it says of itself. */
export interface ProcessIdentity {
  /** Never the same twice. */
  readonly id: string;
  readonly service: string;
  readonly version: string;
  readonly host: string;
  readonly pid: number;
}

export interface ProcessRow extends ProcessIdentity {
  readonly startedAt: Date;
  readonly seenAt: Date;
  /** Every worker of the process runs. */
  readonly isReady: boolean;
  /** Seconds since it was seen, by the control store's clock. */
  readonly silentSeconds: number;
}

/** A process that died is listed for this long, so that an operator notices it. */
const FORGET_AFTER = '1 day';

/** A control store that swallows packets must not hold up the process. Of one statement, in milliseconds. */
const LIMITED = { query_timeout: 5_000 };

/** More processes than anybody runs. */
const MAX_LISTED = 500;

/** Says that the process runs, and forgets those that died long ago. */
export async function reportProcess(
  db: Queryable,
  { id, service, version, host, pid }: ProcessIdentity,
  isReady: boolean,
): Promise<void> {
  await db.query({
    ...LIMITED,
    name: 'report_process',
    text: `with forgotten as (delete from processes where seen_at < now() - interval '${FORGET_AFTER}')
           insert into processes (id, service, version, host, pid, is_ready) values ($1, $2, $3, $4, $5, $6)
           on conflict (id) do update set seen_at = now(), is_ready = excluded.is_ready`,
    values: [id, service, version, host, pid, isReady],
  });
}

/** The process ends in order. */
export async function forgetProcess(db: Queryable, id: string): Promise<void> {
  await db.query({ ...LIMITED, text: 'delete from processes where id = $1', values: [id] });
}

/** By service, those that run longest first. */
export async function listProcesses(db: Queryable): Promise<ProcessRow[]> {
  const { rows } = await db.query<ProcessRow>({
    name: 'list_processes',
    text: `select id, service, version, host, pid, started_at as "startedAt", seen_at as "seenAt", is_ready as "isReady",
             greatest(0, extract(epoch from clock_timestamp() - seen_at))::float8 as "silentSeconds"
           from processes order by service, started_at, id limit ${MAX_LISTED}`,
  });
  return rows;
}
