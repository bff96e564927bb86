import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { readTableFacts } from '../../../shared/catalog/table-facts.ts';
import { hasFieldColumns, parseTableForm } from '../../../shared/catalog/table-form.ts';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { type FactsByResource, formOf, isSameTable } from '../plan/table-forms.ts';
import type { OpenSourceSession, SourceSession } from '../source/source-session.ts';
import { findUnrecordedAccounts, saveRecordingStart } from '../store/feed-state.ts';

/** The form of some resources' tables at a moment of the source's clock. */
export interface TablesSeen {
  /** RFC 3339. Read after the facts, so that the tables are known to have this form from then on. */
  readonly seenAt: string;
  readonly facts: FactsByResource;
}

/** The source's clock. */
export async function readTime(session: SourceSession): Promise<string> {
  const { rows } = await session.query(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as seen_at`,
  );
  const seenAt = rows[0]?.seen_at;
  if (seenAt == null) throw new Error('the source gave no time');
  return seenAt;
}

const LAST_SEEN = `
select distinct on (resource) resource, fingerprint, form from table_history
where resource = any($1) order by resource, seen_from desc`;

/** A row for each change of a table. Two processes may insert the same change, which does no harm. */
const RECORD_CHANGED = `
insert into table_history (resource, fingerprint, form, seen_from) values ($1, $2, $3, $4) on conflict do nothing`;

/** The table changed without an effect on its rows: they are the same since the form was first seen. */
const RECORD_FORM = `
update table_history set form = $3 where resource = $1 and fingerprint = $2 and form is distinct from $3`;

/**
 * Stores the form of each table that has changed.
 *
 * @returns the fingerprint of each table, which stays the same while its rows read the same
 */
async function recordTables(
  db: Queryable,
  session: SourceSession,
  resources: readonly Resource[],
  { seenAt, facts }: TablesSeen,
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await db.query<{ resource: string; fingerprint: string; form: unknown }>(LAST_SEEN, [
    resources.map(({ name }) => name),
  ]);
  const server = hash(session.identity).slice(0, 8);
  const fingerprints = new Map<string, string>();
  for (const resource of resources) {
    const found = facts.get(resource.name);
    if (found === undefined || !hasFieldColumns(resource, found)) continue;
    const form = JSON.stringify(formOf(resource, found));
    const last = rows.find(({ resource: name }) => name === resource.name);
    const before = last && parseTableForm(JSON.stringify(last.form));
    const isSame =
      last?.fingerprint.startsWith(server) &&
      before !== undefined &&
      (await isSameTable(session, before, resource, found));
    if (last !== undefined && isSame) {
      await db.query(RECORD_FORM, [resource.name, last.fingerprint, form]);
      fingerprints.set(resource.name, last.fingerprint);
    } else {
      const fingerprint = server + hash([seenAt, form]);
      await db.query(RECORD_CHANGED, [resource.name, fingerprint, form, seenAt]);
      fingerprints.set(resource.name, fingerprint);
    }
  }
  return fingerprints;
}

/** The fingerprint starts with that of the server. The rest only has to differ from the previous fingerprint. */
function hash(facts: unknown): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 32);
}

/** Tables whose present form was first seen after the moment. */
const FIND_CHANGED = `
select n.resource, min(h.seen_from)::text as seen_from
from unnest($1::text[], $2::text[]) as n(resource, fingerprint)
left join table_history h on h.resource = n.resource and h.fingerprint = n.fingerprint
group by n.resource
having coalesce(min(h.seen_from) > $3::timestamptz, true)
limit 1`;

/**
 * An ALTER TABLE changes rows without an event for any of them. So rows of the past can be rebuilt only if the table has had
 * the same form since then.
 *
 * @throws ExportFailedError when a table is not known to have been the same since `moment`
 */
export async function assertUnchangedSince(
  db: Queryable,
  session: SourceSession,
  resources: readonly Resource[],
  seen: TablesSeen,
  asOf: string,
): Promise<void> {
  const fingerprints = await recordTables(db, session, resources, seen);
  const { rows } = await db.query<{ resource: string; seen_from: string | null }>(FIND_CHANGED, [
    [...fingerprints.keys()],
    [...fingerprints.values()],
    asOf,
  ]);
  const found = rows[0];
  if (found === undefined) return;
  throw new ExportFailedError(
    'table_changed',
    `The present form of the table of ${found.resource} is known only since ${found.seen_from ?? 'now'}: ` +
      'use a later as_of.',
  );
}

export interface WatchHistoryDeps {
  readonly control: Pool;
  readonly openSession: OpenSourceSession;
  readonly catalog: Catalog;
  readonly publicationName: string;
  readonly log: Log;
}

/** Interval of looking for new accounts, whose past starts when they are first found. The query is small. */
const ACCOUNTS_MS = 1_000;

/** Interval of reading the tables. Exports of moments within this time of an ALTER TABLE are refused. */
const TABLES_MS = 30_000;

/** Pause after a failed round, for an outage of the source or the control store. */
const REST_MS = 5_000;

const STATEMENT_TIMEOUT_MS = 10_000;

/**
 * Stores what cannot be found out later: since when an account's changes are recorded, and since when each table has
 * its present form. As-of exports need both.
 */
export function createHistoryWatch({
  control,
  openSession,
  catalog,
  publicationName,
  log,
}: WatchHistoryDeps): Worker {
  const { promise: ready, resolve: markReady } = Promise.withResolvers<void>();
  let nextTablesAtMs = 0;

  async function check(): Promise<void> {
    const accountIds = await findUnrecordedAccounts(control);
    const isTimeForTables = Date.now() >= nextTablesAtMs;
    if (accountIds.length === 0 && !isTimeForTables) return;
    await using session = await openSession({
      purpose: 'history',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      onLost: () => undefined,
    });
    if (accountIds.length > 0) await saveRecordingStart(control, session, accountIds);
    if (!isTimeForTables) return;
    const facts = await readTableFacts(session.client, catalog.resources, publicationName);
    await recordTables(control, session, catalog.resources, { seenAt: await readTime(session), facts });
    nextTablesAtMs = Date.now() + TABLES_MS;
  }

  return {
    name: 'history-watch',
    ready,
    run(signal) {
      // A failed round only makes the stored times later. Nothing else depends on it.
      const onFailed = (error: unknown) => log.warn('history.not_recorded', { error, restMs: REST_MS });
      const rounds = { restMs: ACCOUNTS_MS, retryMs: REST_MS, onFailed };
      return runRounds(() => check().finally(markReady), rounds, signal);
    },
  };
}
