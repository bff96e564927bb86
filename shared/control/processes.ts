import type { Queryable } from '../postgres/queryable.ts';

/** What a process of a service reports about itself. */
export interface ProcessIdentity {
  /** Unique for ever. */
  readonly id: string;
  readonly service: string;
  readonly version: string;
  readonly host: string;
  readonly pid: number;
}

export interface ProcessRow extends ProcessIdentity {
  readonly startedAt: Date;
  readonly seenAt: Date;
  /** Whether all workers of the process run. */
  readonly isReady: boolean;
  /** Seconds since its last report, by the control store's clock. */
  readonly silentSeconds: number;
}

/** A dead process is listed for this long, so that an operator notices it. */
const FORGET_AFTER = '1 day';

/** Time limit of a statement in milliseconds. A control store that drops packets must not block the process. */
const LIMITED = { query_timeout: 5_000 };

/** More processes than anybody runs. */
const MAX_LISTED = 500;

/** Reports that the process runs, and removes those that died long ago. */
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

/** Removes a process that stops in good order. */
export async function forgetProcess(db: Queryable, id: string): Promise<void> {
  await db.query({ ...LIMITED, text: 'delete from processes where id = $1', values: [id] });
}

/** By service, longest running first. */
export async function listProcesses(db: Queryable): Promise<ProcessRow[]> {
  const { rows } = await db.query<ProcessRow>({
    name: 'list_processes',
    text: `select id, service, version, host, pid, started_at as "startedAt", seen_at as "seenAt", is_ready as "isReady",
             greatest(0, extract(epoch from clock_timestamp() - seen_at))::float8 as "silentSeconds"
           from processes order by service, started_at, id limit ${MAX_LISTED}`,
  });
  return rows;
}
