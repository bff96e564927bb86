import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient, QueryArrayConfig } from 'pg';
import {
  type ChildResource,
  childrenOf,
  parentsOf,
  pathsFingerprint,
} from '../../../shared/catalog/check-account-paths.ts';
import { describeColumns } from '../../../shared/catalog/describe-table.ts';
import {
  beginGeneration,
  discardGeneration,
  finishGeneration,
  takeRoutes,
} from '../../../shared/control/route-generations.ts';
import {
  addRoutes,
  type ReferenceCount,
  type Route,
  type RouteAdditions,
  readReferenceCounts,
  readRoutes,
  sweepGenerations,
  sweepRoutes,
} from '../../../shared/control/routes.ts';
import {
  type Catalog,
  ownerColumns,
  parentOf,
  type Resource,
  tablesReadFor,
} from '../../../shared/domain/catalog.ts';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { type RecordRef, recordId } from '../../../shared/domain/record-ref.ts';
import { isVisible, parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { formatAccountReset, WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { accountForm, accountTextSql } from '../../../shared/values/account-form.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { referenceOf, referenceText } from '../../../shared/values/reference-text.ts';
import type { CaptureProgress } from '../publish/capture-progress.ts';

/** The routes that a session starts with. */
export interface OpenRoutes {
  readonly fill: { readonly snapshot: Snapshot; readonly snapshotLsn: Lsn; readonly completeTo: Lsn };
  store(additions: RouteAdditions, completeTo: Lsn | undefined): Promise<void>;
  read(records: readonly RecordRef[]): Promise<Route[]>;
  readCounts(records: readonly RecordRef[]): Promise<ReferenceCount[]>;
  discard(): Promise<void>;
  /** Removes old routes. @returns whether more are left */
  sweep(passedLsn: Lsn): Promise<boolean>;
}

export interface RoutesSource {
  readonly control: Pool;
  /** Its queries return raw texts. */
  readonly pool: Pool;
  /** Called when parents or counts of references were read from the source and stored. */
  readonly onRead?: ((count: number) => void) | undefined;
}

export interface OpenRoutesDeps extends RoutesSource {
  readonly catalog: Catalog;
  /** Names of resources whose paths can't be followed now. The routes are read and kept without them. */
  readonly broken: readonly string[];
  /** Fingerprint of the columns on the paths. The routes are read again once it changes. */
  readonly columns: string;
  readonly progress: CaptureProgress;
  /** The feed continues where it was, without a gap. */
  readonly isResumed: boolean;
  readonly log: Log;
}

/**
 * Takes the routes of the previous session, if they have followed the stream without a break, on the same server and by
 * the same paths. Otherwise they are read from the source again, and every subscriber of a child's resource gets a
 * reset.
 *
 * @throws SetupError when a foreign key that a path follows is missing
 */
export async function openRoutes(deps: OpenRoutesDeps, signal: AbortSignal): Promise<OpenRoutes> {
  const { control, catalog, progress, log } = deps;
  const fingerprint = `${pathsFingerprint(catalog)}/${deps.broken.toSorted().join()}/${deps.columns}`;
  const sound = withoutBroken(catalog, deps.broken);
  const owner = randomUUID();
  const kept = await takeRoutes(control, owner);
  const isWhole =
    deps.isResumed &&
    kept?.fingerprint === fingerprint &&
    kept.systemId === progress.systemId &&
    kept.timeline === progress.timeline &&
    kept.completeTo >= progress.passedLsn;
  const fill =
    isWhole && kept.snapshot !== null
      ? { ...kept, snapshot: kept.snapshot }
      : await fillRoutes(owner, fingerprint, sound, deps, signal);
  const { generation } = fill;
  let storedTo = fill.completeTo;
  let { passedLsn } = progress;
  if (isWhole) log.info('routes.resumed', { generation });
  return {
    fill,
    async store(additions, completeTo) {
      await addRoutes(control, { owner, generation, storedTo, passedLsn }, additions, completeTo);
      storedTo = completeTo ?? storedTo;
    },
    read: (records) => readRoutes(control, generation, records),
    readCounts: (records) => readReferenceCounts(control, generation, records),
    discard: () => discardGeneration(control, owner),
    async sweep(passedTo) {
      passedLsn = passedTo;
      const isMoreOfEarlier = await sweepGenerations(control, generation);
      return (await sweepRoutes(control, generation, passedLsn)) || isMoreOfEarlier;
    },
  };
}

/** The catalog without the resources whose paths can't be followed. */
export function withoutBroken(catalog: Catalog, broken: readonly string[]): Catalog {
  return { ...catalog, resources: catalog.resources.filter(({ name }) => !broken.includes(name)) };
}

const FETCH_ROWS = 5_000;
const CURSOR = 'tandem_routes';
const SETTLE_POLL_MS = 100;
const TELL_INTERVAL_MS = 10_000;

interface Fill {
  readonly generation: string;
  readonly snapshot: Snapshot;
  readonly snapshotLsn: Lsn;
  readonly completeTo: Lsn;
}

/**
 * Reads the parent of each record, and how many records refer to each, under one snapshot S. Commits that S does not
 * see are then added from the stream. Changes of children in commits that S sees are skipped: later exports start after
 * S, and all other subscribers are told to start again.
 */
async function fillRoutes(
  owner: string,
  fingerprint: string,
  sound: Catalog,
  { control, pool, catalog, progress, log, onRead }: OpenRoutesDeps,
  signal: AbortSignal,
): Promise<Fill> {
  const startedAtMs = Date.now();
  const generation = await beginGeneration(control, owner, progress);
  // Done here and not beside the stream: sessions whose fill fails would leave their routes behind, one after another.
  while (await sweepGenerations(control, generation)) signal.throwIfAborted();
  const names = parentsOf(sound);
  const parents = sound.resources.filter(({ name }) => names.has(name));
  const client = await pool.connect();
  let isDone = false;
  let count = 0;
  let toldAtMs = startedAtMs;
  try {
    const children = childrenOf(sound);
    const { snapshot, lsn } = await takeSnapshot(client, [...parents, ...children], progress, log, signal);
    const writer = { owner, generation, storedTo: undefined, passedLsn: progress.passedLsn };
    const nothing = { routes: [], references: [], commits: [] };
    const add = async (resource: string, additions: Partial<RouteAdditions>, added: number) => {
      signal.throwIfAborted();
      await addRoutes(control, writer, { ...nothing, ...additions }, undefined);
      count += added;
      onRead?.(added);
      if (Date.now() - toldAtMs < TELL_INTERVAL_MS) return;
      toldAtMs = Date.now();
      log.info('routes.filling', { generation, resource, count, durationMs: toldAtMs - startedAtMs });
    };
    for (const parent of parents) {
      for await (const routes of readParent(client, parent))
        await add(parent.name, { routes }, routes.length);
    }
    for (const child of children) {
      for await (const references of countReferences(client, child))
        await add(child.name, { references }, references.length);
    }
    await client.query('commit');
    // Sent before the routes are complete, so that no subscriber continues without its reset. Also at the first start,
    // because changes since the slot's creation are skipped.
    const content = formatAccountReset({
      account: '*',
      resources: childrenOf(catalog).map(({ name }) => name),
    });
    // A stalled synchronous standby delays a commit's response, and this commit need not wait for it.
    await client.query('begin; set local synchronous_commit = local');
    await client.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.account, content]);
    await client.query('commit');
    isDone = true;
    const completeTo = progress.passedLsn;
    await finishGeneration(control, owner, { fingerprint, snapshot, snapshotLsn: lsn, completeTo });
    log.info('routes.filled', { generation, count, durationMs: Date.now() - startedAtMs });
    return { generation, snapshot: parseSnapshot(snapshot), snapshotLsn: parseLsn(lsn), completeTo };
  } finally {
    client.release(!isDone);
  }
}

/** Locks the tables and takes a snapshot that sees everything before the stream's start. */
async function takeSnapshot(
  client: PoolClient,
  parents: readonly Resource[],
  { unsettled, unsettledXmin }: CaptureProgress,
  log: Log,
  signal: AbortSignal,
): Promise<{ snapshot: string; lsn: string }> {
  const tables = tablesReadFor(parents).map(quoteTable).join(', ');
  const lock = tables === '' ? 'select' : `lock table ${tables} in access share mode`;
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    await client.query('begin isolation level repeatable read, read only');
    await client.query(lock);
    const { rows } = await client.query<{ snapshot: string; lsn: string }>(
      'select pg_current_snapshot()::text as snapshot, pg_current_wal_insert_lsn()::text as lsn',
    );
    const { snapshot = '', lsn = '' } = rows[0] ?? {};
    const seen = parseSnapshot(snapshot);
    const isSettled =
      unsettled.every(({ xid }) => isVisible(xid, seen)) &&
      (unsettledXmin === null || seen.xmin >= unsettledXmin);
    if (isSettled) return { snapshot, lsn };
    await client.query('rollback');
    if (attempt % 100 === 10) {
      log.warn('routes.waiting', {
        snapshot,
        effect: 'the feed waits until transactions have ended that began before it',
      });
    }
    await sleep(SETTLE_POLL_MS, signal);
  }
}

async function* readParent(client: PoolClient, resource: Resource): AsyncGenerator<Route[]> {
  const typeOf = await columnTypes(client, resource);
  const { key, account } = resource;
  const parent = parentOf(resource);
  const owners = ownerColumns(resource);
  const selected = [
    ...key.map(quoteIdent),
    ...(typeof account === 'string'
      ? [accountTextSql(accountForm(typeOf(account)), quoteIdent(account))]
      : owners.map(quoteIdent)),
  ];
  const keyTypes = key.map(typeOf);
  const ownerTypes = owners.map(typeOf);
  const ownerOf = (texts: readonly (string | null)[]): string | null => {
    if (parent === undefined) return texts[0] ?? null;
    const record = referenceOf(parent, texts, ownerTypes);
    return record === undefined ? null : recordId(record);
  };
  const query = `select ${selected.join(', ')} from ${quoteTable(resource.table)}`;
  for await (const rows of readRows(client, query)) {
    yield rows.flatMap((row) => {
      const recordKey = referenceText(row.slice(0, key.length), keyTypes);
      const owner = ownerOf(row.slice(key.length));
      const route = { resource: resource.name, sinceLsn: 0n, owner, isDeleted: false, referredBy: [] };
      return recordKey === null ? [] : [{ ...route, key: recordKey }];
    });
  }
}

/** Counts the records of a resource that refer to each record, whether that exists or not. */
async function* countReferences(client: PoolClient, child: ChildResource): AsyncGenerator<ReferenceCount[]> {
  const typeOf = await columnTypes(client, child);
  const owners = ownerColumns(child);
  const types = owners.map(typeOf);
  const columns = owners.map(quoteIdent);
  const query =
    `select count(*)::text, ${columns.join(', ')} from ${quoteTable(child.table)} ` +
    `where ${columns.map((column) => `${column} is not null`).join(' and ')} group by ${columns.join(', ')}`;
  for await (const rows of readRows(client, query)) {
    yield rows.flatMap(([count, ...texts]) => {
      const record = referenceOf(child.account, texts, types);
      return record === undefined ? [] : [{ ...record, child: child.name, count: Number(count) }];
    });
  }
}

/** The `pgName` of each column's type, by column name. */
async function columnTypes(client: PoolClient, resource: Resource): Promise<(name: string) => string> {
  const types = await loadTypes(client);
  const columns = await describeColumns(client, resource);
  return (name) => {
    const column = columns.find((each) => each.name === name);
    return column === undefined ? '' : types.valueType(column.typeOid, column.typeModifier).pgName;
  };
}

/** Time limit of a query. A grouped query returns its first rows only after reading the whole table. */
const MAX_QUERY_MS = 24 * 60 * 60_000;

async function* readRows(client: PoolClient, query: string): AsyncGenerator<(string | null)[][]> {
  await client.query(`set local statement_timeout = ${MAX_QUERY_MS}`);
  await client.query(`declare ${CURSOR} no scroll cursor for ${query}`);
  for (;;) {
    // The pool's own limit is for small queries.
    const fetch = {
      text: `fetch ${FETCH_ROWS} from ${CURSOR}`,
      rowMode: 'array',
      query_timeout: MAX_QUERY_MS,
    };
    const { rows } = await client.query<(string | null)[]>(fetch as QueryArrayConfig);
    if (rows.length > 0) yield rows;
    if (rows.length < FETCH_ROWS) break;
  }
  await client.query(`close ${CURSOR}`);
}
