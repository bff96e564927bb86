import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import {
  describePublication,
  describeServer,
  type ServerDescription,
} from '../../../shared/catalog/describe-source.ts';
import { describeTables, findTable } from '../../../shared/catalog/describe-table.ts';
import { showFinding } from '../../../shared/catalog/finding.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { showTable } from '../../../shared/catalog/parse-table-name.ts';
import { publishes } from '../../../shared/catalog/publication-plan.ts';
import {
  readSlotHealth,
  readSlotThresholds,
  type SlotHealth,
  showBytes,
} from '../../../shared/catalog/slot-health.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { retryWhileLocked } from '../../../shared/postgres/short-lock-waits.ts';
import { type Env, envReader } from '../../../shared/runtime/env.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { findRunningTandem } from '../../local/running-tandem.ts';
import { SAMPLE_CATALOG } from '../../local/service-env.ts';
import type { Command, CommandContext } from '../command.ts';
import { slotFindings } from '../slot-findings.ts';
import { readSourceSettings, type SourceSettings, withSource } from '../source-settings.ts';

/** What an operator looks at first when the feed stands still or the source's disk fills. Reads only. */
export const sourceStatusCommand: Command = {
  name: 'source status',
  summary: 'show the slot, its lag and what it costs, the publication and the tables, and what is wrong',
  notes: `Exits 0 when all is well, 1 with each fault and its fix, 2 when the source does not respond. Uses the
Tandem that runs here, or else DATABASE_URL, CONTROL_DATABASE_URL (for the age of the feed), CATALOG, PUBLICATION_NAME,
SLOT_NAME, SLOT_WARN_BYTES, SLOT_REFUSE_BYTES.`,
  declare(program, perform) {
    program
      .option('--json', 'print one JSON object instead of lines', false)
      .action(({ json }: { json: boolean }) => perform((context) => showStatus(context, json)));
  },
};

async function showStatus({ env, home, say }: CommandContext, asJson: boolean): Promise<number> {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));
  const all: Env = { CATALOG: SAMPLE_CATALOG, ...findRunningTandem(home)?.parts, ...set };
  const settings = readSourceSettings(all);
  const catalog = await loadCatalog(settings.catalogPath);
  const read = envReader(all);
  const thresholds = read.done(readSlotThresholds(read));
  const controlUrl = all.CONTROL_DATABASE_URL ?? settings.databaseUrl;
  const ageSeconds = await readFeedAge(controlUrl);
  const standing = await readStanding(controlUrl);
  const { facts, lines, problems } = await withSource(settings.databaseUrl, async (db) => {
    const server = await describeServer(db);
    const slot = server.isInRecovery ? undefined : await readSlotHealth(db, settings.slot);
    const warnings = await findEncodingWarnings(db);
    const lines = [
      `source       ${server.database}, PostgreSQL ${Math.floor(server.versionNumber / 10_000)}, wal_level ${server.walLevel}`,
      ...(slot === undefined ? [] : slotLines(settings.slot, slot, ageSeconds)),
      ...warnings.map((warning) => `warning      ${warning}`),
      ...(await describeResources(db, catalog, settings)),
    ];
    const findings = await checkCatalog(db, catalog, { publication: settings.publication });
    const problems = [
      ...findings.map(showFinding),
      ...standing,
      ...(server.isInRecovery ? [] : slotFindings(settings.slot, slot, thresholds, ageSeconds)),
    ];
    const facts = { ...sourceFacts(server), slot: slotFacts(settings.slot, slot), warnings };
    return { facts: { ...facts, feed_age_seconds: ageSeconds ?? null }, lines, problems };
  });
  if (asJson) say(JSON.stringify({ ...facts, problems }));
  else {
    for (const line of [...lines, ...problems.map((problem) => `- ${problem}`)]) say(line);
    if (problems.length === 0) say('all is well');
  }
  return problems.length === 0 ? 0 : 1;
}

function sourceFacts({ database, versionNumber, walLevel, isInRecovery }: ServerDescription) {
  return {
    source: { database, version: versionNumber, wal_level: walLevel, in_recovery: isInRecovery },
  };
}

function slotFacts(name: string, slot: SlotHealth | undefined) {
  if (slot === undefined) return null;
  return {
    name,
    plugin: slot.plugin,
    active: slot.isActive,
    wal_status: slot.walStatus,
    lag_bytes: slot.lagBytes,
    retained_bytes: slot.retainedBytes,
    safe_wal_bytes: slot.safeWalBytes,
  };
}

function slotLines(name: string, slot: SlotHealth, ageSeconds: number | undefined): string[] {
  const moved = ageSeconds === undefined ? '' : `, the feed moved ${ageSeconds.toFixed(1)} s ago`;
  const safe =
    slot.safeWalBytes === null
      ? 'no limit (max_slot_wal_keep_size)'
      : `${showBytes(Math.max(0, slot.safeWalBytes))} left until its limit`;
  return [
    `slot         ${name}, ${slot.plugin}, ${slot.isActive ? 'active' : 'not active'}, WAL ${slot.walStatus}`,
    `lag          ${showBytes(slot.lagBytes)}${moved}`,
    `kept WAL     ${showBytes(slot.retainedBytes)}, ${safe}`,
  ];
}

/** `relreplident`. */
const IDENTITIES: Readonly<Record<string, string>> = { d: 'default', n: 'nothing', f: 'full', i: 'index' };

async function describeResources(
  db: Queryable,
  catalog: Catalog,
  { publication }: SourceSettings,
): Promise<string[]> {
  const published = await describePublication(db, publication);
  const tables = await describeTables(
    retryWhileLocked(db),
    catalog.resources.map(({ table }) => table),
  );
  const wanted = catalog.resources.map(({ table }) => showTable(table));
  const others = (published?.tables ?? []).map(showTable).filter((name) => !wanted.includes(name));
  return [
    `publication  ${publication}${published === undefined ? ', which does not exist' : ''}`,
    ...catalog.resources.map(({ name, table }) => {
      const letters = findTable(tables, table)?.relations.map(
        ({ replicaIdentity }) => IDENTITIES[replicaIdentity] ?? '?',
      );
      const identity = letters === undefined ? 'unknown: no such table' : [...new Set(letters)].join(' and ');
      const isPublished = published !== undefined && publishes(published, table);
      return `  ${name}: ${showTable(table)}, replica identity ${identity}, ${isPublished ? 'published' : 'not published'}`;
    }),
    ...others.map((name) => `  published, and not in the catalog: ${name}`),
  ];
}

/** What keeps changes from being told, and what mends it; nothing when the control store can't say. */
async function readStanding(controlUrl: string): Promise<string[]> {
  return askControlStore(controlUrl, [], async (db) => {
    const { rows } = await db.query<{ line: string }>(
      `select format('changes of %s are not told since %s (%s): %s. It comes back by itself, and subscribers are told feed.reset.',
                resource, since_at::timestamptz(0), reason, detail) as line
         from tandem.feed_set_aside where until_lsn is null
       union all
       select format('the feed stands still since %s (%s): %s', since::timestamptz(0), reason, detail)
         from tandem.feed_stall where since is not null`,
    );
    return rows.map(({ line }) => line);
  });
}

/** Undefined when the control store can't say: the source's own state is worth telling all the same. */
async function readFeedAge(controlUrl: string): Promise<number | undefined> {
  return askControlStore(controlUrl, undefined, async (db) => {
    const { rows } = await db.query<{ seconds: number }>(
      'select greatest(0, extract(epoch from clock_timestamp() - updated_at))::float8 as seconds from tandem.feed_state',
    );
    return rows[0]?.seconds;
  });
}

async function askControlStore<T>(
  controlUrl: string,
  unknown: T,
  ask: (db: Queryable) => Promise<T>,
): Promise<T> {
  try {
    return await withSource(controlUrl, ask);
  } catch (error) {
    const isNotThere = ['3F000', '42P01', '42501'].includes(String((error as { code?: unknown }).code));
    if (isNotThere || error instanceof SetupError) return unknown;
    throw error;
  }
}

/**
 * What an operator has to know of the database's encoding; nothing for UTF8. Files, events and topics are UTF-8, and
 * databases in other encodings may hold text that has no form there.
 */
async function findEncodingWarnings(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ encoding: string }>(
    `select current_setting('server_encoding') as encoding`,
  );
  const encoding = rows[0]?.encoding;
  if (encoding === undefined || encoding === 'UTF8') return [];
  const move = 'Better: dump the database, and restore it into one with encoding UTF8.';
  if (encoding !== 'SQL_ASCII') {
    return [
      `the database has encoding ${encoding}: an export of a text that has no equivalent in UTF-8 fails with row_unencodable, and a ` +
        `change of one sets its resource aside, with feed.reset, until it is corrected (where a character may take several ` +
        `bytes it ends the feed of every table instead: SQLSTATE 22P05). ${move}`,
    ];
  }
  return [
    'the database has encoding SQL_ASCII, which lets in text that is not UTF-8: an export of such a value fails with row_unencodable, ' +
      `and a change of one sets its resource aside, with feed.reset, until it is corrected. Correct such values first. ${move}`,
  ];
}
