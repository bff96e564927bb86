import type { Pool } from 'pg';
import { ADVISORY_LOCKS } from '../../../shared/control/advisory-locks.ts';
import { markMissed } from '../../../shared/control/webhooks/endpoint-status.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;

/** A waiting lock request blocks every reader behind it, so give up early and try again later. */
const LOCK_TIMEOUT = '2s';

/** The day (`2026-01-02`) of an RFC 3339 timestamp in UTC, whose partition holds it. */
export function dayOf(timestamp: string): string {
  return timestamp.slice(0, 10);
}

function dayAt(ms: number): string {
  return dayOf(new Date(ms).toISOString());
}

const partitionName = (day: string) => `events_${day.replaceAll('-', '')}`;

/** The day of a partition's name, or undefined for another table. */
function dayOfPartition(name: string): string | undefined {
  const match = /^events_([0-9]{4})([0-9]{2})([0-9]{2})$/.exec(name);
  return match === null ? undefined : `${match[1]}-${match[2]}-${match[3]}`;
}

/** Makes the partitions of these days (`2026-01-02`) that are missing. Safe to call from many processes at once. */
export async function ensurePartitions(pool: Pool, days: readonly string[]): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.eventPartitions]);
    for (const day of days) {
      const name = partitionName(day);
      const { rows } = await client.query<{ exists: boolean }>(
        'select to_regclass($1) is not null as exists',
        [name],
      );
      if (rows[0]?.exists === true) continue;
      // Created as a table and then attached: creating it as a partition would lock out all readers and writers.
      await client.query(`create table ${name} (like events including defaults including constraints)`);
      await client.query(
        `alter table events attach partition ${name} for values from ('${day}') to ('${dayAt(Date.parse(day) + DAY_MS)}')`,
      );
    }
  });
}

/** Drops the partitions of days that ended before `keptSince` (`2026-01-02`). @returns the days dropped */
export async function dropPartitionsBefore(pool: Pool, keptSince: string): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'events'::regclass order by 1`,
  );
  const days = rows.flatMap(({ name }) => dayOfPartition(name) ?? []).filter((day) => day < keptSince);
  for (const day of days) {
    await inTransaction(pool, async (client) => {
      await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
      await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.eventPartitions]);
      await client.query(`drop table if exists ${partitionName(day)}`);
    });
  }
  return days;
}

const ROUND_MS = 60 * 60 * 1_000;

/** Partitions are created this many days ahead, so that midnight needs nothing, even after a weekend's outage. */
const DAYS_AHEAD = 3;

/** Attempts and statistics serve to find recent faults. The events themselves are kept longer. */
const ATTEMPTS_KEPT_DAYS = 7;
const SWEPT_ROWS_AT_ONCE = 5_000;

export interface RetentionConfig {
  readonly eventRetentionDays: number;
}

/** The first day whose events are still kept. */
export function keptSince(nowMs: number, { eventRetentionDays }: RetentionConfig): string {
  return dayAt(nowMs - eventRetentionDays * DAY_MS);
}

const SWEEP_ATTEMPTS = `
  delete from webhook_attempts where id in
    (select id from webhook_attempts where started_at < $1 order by started_at limit ${SWEPT_ROWS_AT_ONCE})`;

const SWEEP_STATS = `delete from webhook_stats where bucket < $1`;

/** Without its payload, a retry can be neither sent nor replayed. */
const SWEEP_RETRIES = `delete from webhook_parked where committed_at < $1`;

const SWEEP_ACCOUNT_EVENTS = `delete from account_events where occurred_at < $1`;

const SWEEP_SET_ASIDE = `delete from feed_set_aside where until_at < $1`;

const SWEEP_DISPATCHERS = `delete from dispatchers where expires_at < now() - interval '1 hour'`;

/**
 * Creates the partitions of the next days and drops those past their retention. Several dispatchers may do so at once.
 */
export function createEventKeeper(config: RetentionConfig, pool: Pool, log: Log): Worker {
  const ready = Promise.withResolvers<void>();
  const tend = async (nowMs: number) => {
    const ahead = Array.from({ length: DAYS_AHEAD + 1 }, (_, n) => dayAt(nowMs + n * DAY_MS));
    await ensurePartitions(pool, ahead);
    const missed = await markMissed(pool, keptSince(nowMs, config));
    if (missed.length > 0) log.warn('endpoints.missed_events', { endpointIds: missed });
    const dropped = await dropPartitionsBefore(pool, keptSince(nowMs, config));
    if (dropped.length > 0) log.info('events.expired', { days: dropped });
    await pool.query(SWEEP_RETRIES, [keptSince(nowMs, config)]);
    await pool.query(SWEEP_ACCOUNT_EVENTS, [keptSince(nowMs, config)]);
    await pool.query(SWEEP_SET_ASIDE, [keptSince(nowMs, config)]);
    await pool.query(SWEEP_DISPATCHERS);
    const oldest = new Date(nowMs - ATTEMPTS_KEPT_DAYS * DAY_MS);
    for (let swept = SWEPT_ROWS_AT_ONCE; swept === SWEPT_ROWS_AT_ONCE; ) {
      swept = (await pool.query(SWEEP_ATTEMPTS, [oldest])).rowCount ?? 0;
    }
    await pool.query(SWEEP_STATS, [oldest]);
  };
  return {
    name: 'event-keeper',
    ready: ready.promise,
    run(signal) {
      const round = () => tend(Date.now()).finally(ready.resolve);
      // A failed round is harmless: partitions are also created on demand, and the next round drops the rest.
      const onFailed = (error: unknown) => log.warn('events.not_tended', { error });
      return runRounds(round, { restMs: ROUND_MS, onFailed }, signal);
    },
  };
}
