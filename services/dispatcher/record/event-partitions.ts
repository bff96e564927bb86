import type { Pool } from 'pg';
import { ADVISORY_LOCKS } from '../../../shared/control/advisory-locks.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;

/** A queue behind our lock request would stop every reader, so we rather come again later. */
const LOCK_TIMEOUT = '2s';

/** `2026-01-02` of an RFC 3339 timestamp in UTC: the day whose partition holds it. */
export function dayOf(timestamp: string): string {
  return timestamp.slice(0, 10);
}

export function dayAt(ms: number): string {
  return dayOf(new Date(ms).toISOString());
}

const partitionName = (day: string) => `events_${day.replaceAll('-', '')}`;

/** The day of a partition's name, or undefined for another table. */
export function dayOfPartition(name: string): string | undefined {
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
      // Made apart and then attached: making it as a partition at once would lock out every reader and writer.
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
