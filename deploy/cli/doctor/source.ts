import type pg from 'pg';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { describeServer } from '../../../shared/catalog/describe-source.ts';
import { readSlotHealth, type SlotThresholds, showBytes } from '../../../shared/catalog/slot-health.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { quoteIdent } from '../../../shared/postgres/quote.ts';
import { slotFindings } from '../slot-findings.ts';
import { type Area, close, type Found, failure, ok, warning } from './area.ts';
import { connectFix, examineServer, openSession } from './database.ts';

export interface SourceToExamine {
  readonly url: string;
  /** Undefined when it cannot be read: what depends on it is left out. */
  readonly catalog: Catalog | undefined;
  readonly publication: string;
  readonly slot: string;
  readonly thresholds: SlotThresholds;
}

/** Reads only. */
export async function examineSource(area: Area, source: SourceToExamine): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const db = await area.attempt(
    'connect',
    connectFix('DATABASE_URL'),
    async () => cleanup.adopt(await openSession(area, source), (client) => close(client.end())),
    ({ host, port }) => ok(`${host}:${port} responds`),
  );
  if (db === undefined) return;
  const server = await area.attempt(
    'server',
    'check the server',
    () => describeServer(db),
    ({ versionNumber, walLevel, isInRecovery, database, role }) => {
      const version = Math.floor(versionNumber / 10_000);
      return ok(
        `PostgreSQL ${version}, database ${database}, role ${role}, wal_level ${walLevel}${isInRecovery ? ', a standby' : ''}`,
      );
    },
  );
  await examineServer(area, db);
  await examineReplication(area, source, server?.role ?? '');
  if (server?.isInRecovery === false) await examineSlot(area, db, source);
  await examineCatalog(area, db, source);
}

/** The kind of session that capture opens: a pooler between it and the server does not let it through. */
async function examineReplication(area: Area, source: SourceToExamine, role: string): Promise<void> {
  const fix = (error: unknown) =>
    (error as { code?: unknown }).code === '42501'
      ? `ALTER ROLE ${quoteIdent(role)} REPLICATION; on Amazon RDS: GRANT rds_replication TO ${quoteIdent(role)};`
      : 'let the role connect for replication (pg_hba.conf), and connect to the server itself: a pooler such as pgbouncer passes no replication';
  await area.attempt(
    'replication session',
    fix,
    async () => {
      const client = await openSession(area, { ...source, isReplication: true });
      try {
        const { rows } = await client.query<{ systemid: string; timeline: number }>('IDENTIFY_SYSTEM');
        return rows[0];
      } finally {
        await close(client.end());
      }
    },
    (found) => ok(`system ${found?.systemid}, timeline ${found?.timeline}`),
  );
}

async function examineSlot(
  area: Area,
  db: pg.Client,
  { slot: name, thresholds }: SourceToExamine,
): Promise<void> {
  const slot = await area.attempt(
    'slot',
    'grant pg_monitor to the role',
    async () => ({ health: await readSlotHealth(db, name) }),
    ({ health }) => {
      const found = slotFindings(name, health, thresholds, undefined);
      if (found.length > 0)
        return found.map((text) => toFound(text, health === undefined || !health.isActive));
      return ok(`${name} is read; the server keeps ${showBytes(health?.retainedBytes ?? 0)} of WAL for it`);
    },
  );
  if (slot === undefined) return;
  await area.attempt(
    'free slots',
    'grant pg_monitor to the role',
    async () => {
      const { rows } = await db.query<{ slots: number; senders: number }>(
        `select current_setting('max_replication_slots')::int - (select count(*)::int from pg_replication_slots) as slots,
           current_setting('max_wal_senders')::int - (select count(*)::int from pg_stat_replication) as senders`,
      );
      return rows[0] ?? { slots: 0, senders: 0 };
    },
    ({ slots, senders }): Found => {
      const detail = `${slots} slots and ${senders} WAL senders are free`;
      const isSlotNeeded = slot.health === undefined && slots < 1;
      const isSenderNeeded = slot.health?.isActive !== true && senders < 1;
      if (!isSlotNeeded && !isSenderNeeded) return ok(detail);
      return failure(
        detail,
        'raise max_replication_slots and max_wal_senders, restart the server; or drop a slot that nobody uses',
      );
    },
  );
}

/** A slot that nobody reads, or that is not there yet, is no fault of the set-up: capture may not have been started. */
const toFound = (text: string, isQuiet: boolean): Found => {
  const [detail = text, ...fix] = text.split(/(?<=[.:]) (?=[A-Z])/);
  return isQuiet ? warning(detail, fix.join(' ')) : failure(detail, fix.join(' '));
};

async function examineCatalog(
  area: Area,
  db: pg.Client,
  { catalog, publication }: SourceToExamine,
): Promise<void> {
  if (catalog === undefined) return;
  await area.attempt(
    'catalog',
    'run `tandem catalog check`',
    () => checkCatalog(db, catalog, { publication }),
    (findings): Found | readonly Found[] => {
      if (findings.length === 0) {
        return ok(
          `${catalog.resources.length} resources: tables, columns, rights, replica identities and the publication fit`,
        );
      }
      return findings.map(({ resource, message, sql }) =>
        failure(
          resource === undefined ? message : `${resource}: ${message}`,
          sql === undefined ? 'run `tandem catalog check`' : `run: ${sql}; or \`tandem source prepare\``,
        ),
      );
    },
  );
}
