import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Pressure } from './pressure.ts';

/** Matches Tandem's own sessions. */
const OURS = `application_name like 'tandem %'`;

/** Slots of other databases also retain WAL, but what this job writes does not pass through them. */
const READ = `
select
  (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), coalesce(confirmed_flush_lsn, restart_lsn))), 0)
   from pg_replication_slots where database is null or database = current_database())::text as slot_lag_bytes,
  (select coalesce(max(extract(epoch from replay_lag)), 0) * 1000 from pg_stat_replication)::text as replay_lag_ms,
  (select count(distinct l.pid) from pg_locks l
   where not l.granted and pg_blocking_pids(l.pid) && array(
     select pid from pg_stat_activity where ${OURS} and datname = current_database()))::text as blocked_sessions,
  (select count(*) from pg_stat_activity
   where state = 'active' and backend_type = 'client backend' and not ${OURS})::text as active_sessions`;

/**
 * Reads the load of the source. Without `pg_monitor`, PostgreSQL hides the sessions of other roles and the lag of standbys;
 * every role sees slots and locks.
 */
export async function readPressure(db: Queryable): Promise<Omit<Pressure, 'chunkMs'>> {
  const { rows } = await db.query<Record<string, string>>({ name: 'bulk_pressure', text: READ });
  const row = rows[0] ?? {};
  return {
    slotLagBytes: Number(row.slot_lag_bytes ?? 0),
    replayLagMs: Number(row.replay_lag_ms ?? 0),
    blockedSessions: Number(row.blocked_sessions ?? 0),
    activeSessions: Number(row.active_sessions ?? 0),
  };
}
