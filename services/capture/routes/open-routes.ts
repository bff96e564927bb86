import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import {
  childrenOf,
  parentsOf,
  pathsFingerprint,
  readPathKeys,
} from '../../../shared/catalog/check-account-paths.ts';
import { describeColumns } from '../../../shared/catalog/describe-table.ts';
import {
  addRoutes,
  beginGeneration,
  discardGeneration,
  finishGeneration,
  type Route,
  readRoutes,
  sweepGenerations,
  sweepRoutes,
  takeRoutes,
} from '../../../shared/control/routes.ts';
import { type Catalog, ownerColumns, type Resource, tablesReadFor } from '../../../shared/domain/catalog.ts';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { isVisible, parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { formatAccountReset, WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { accountForm, accountTextSql } from '../../../shared/values/account-form.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { referenceText } from '../../../shared/values/reference-text.ts';
import type { CaptureProgress } from '../publish/capture-progress.ts';

/** The routes that a session goes on with. */
export interface OpenRoutes {
  readonly fill: { readonly snapshot: Snapshot; readonly snapshotLsn: Lsn; readonly completeTo: Lsn };
  store(routes: readonly Route[], completeTo: Lsn | undefined): Promise<void>;
  read(records: readonly { readonly resource: string; readonly key: string }[]): Promise<Route[]>;
  discard(): Promise<void>;
  /** Whether the foreign keys are still those that the routes were read under. */
  isUnderSameKeys(): Promise<boolean>;
  /** @returns whether there is more to sweep */
  sweep(passedLsn: Lsn): Promise<boolean>;
}

export interface RoutesSource {
  readonly control: Pool;
  /** Reads raw texts. */
  readonly pool: Pool;
}

export interface OpenRoutesDeps extends RoutesSource {
  readonly catalog: Catalog;
  readonly progress: CaptureProgress;
  /** The feed goes on where it was, without a gap. */
  readonly isResumed: boolean;
  readonly log: Log;
}

/**
 * Takes the routes over from the session before, if they have followed the stream since without a break, on the same server and by
 * the same paths. Else they are read from the source again, and every subscriber of a child's resource is told to begin anew.
 *
 * @throws SetupError when a foreign key that a path follows is missing
 */
export async function openRoutes(deps: OpenRoutesDeps, signal: AbortSignal): Promise<OpenRoutes> {
  const { control, pool, catalog, progress, log } = deps;
  const keys = await readPathKeys(pool, catalog);
  if (keys === undefined) {
    throw new SetupError(
      'a foreign key is missing by which records have the account of their parent: `tandem catalog check` names it',
    );
  }
  const fingerprint = `${pathsFingerprint(catalog)}/${keys}`;
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
      : await fillRoutes(owner, fingerprint, deps, signal);
  const { generation } = fill;
  if (isWhole) log.info('routes.resumed', { generation });
  return {
    fill,
    store: (routes, completeTo) => addRoutes(control, owner, generation, routes, completeTo),
    read: (records) => readRoutes(control, generation, records),
    discard: () => discardGeneration(control, owner),
    isUnderSameKeys: async () => (await readPathKeys(pool, catalog)) === keys,
    async sweep(passedLsn) {
      const isMoreOfEarlier = await sweepGenerations(control, generation);
      return (await sweepRoutes(control, generation, passedLsn)) || isMoreOfEarlier;
    },
  };
}

const FETCH_ROWS = 5_000;
const CURSOR = 'tandem_routes';
const SETTLE_POLL_MS = 100;

interface Fill {
  readonly generation: string;
  readonly snapshot: Snapshot;
  readonly snapshotLsn: Lsn;
  readonly completeTo: Lsn;
}

/**
 * Reads whose every parent is under one snapshot S. What commits that S does not see say is then added from the stream, and
 * changes of children in commits that S sees are passed over: whoever subscribes from an export begins behind S, and all others are told
 * to begin anew.
 */
async function fillRoutes(
  owner: string,
  fingerprint: string,
  { control, pool, catalog, progress, log }: OpenRoutesDeps,
  signal: AbortSignal,
): Promise<Fill> {
  const startedAtMs = Date.now();
  const generation = await beginGeneration(control, owner, progress);
  // Here, not beside the stream: sessions whose fill fails would leave theirs behind, one after the other.
  while (await sweepGenerations(control, generation)) signal.throwIfAborted();
  const names = parentsOf(catalog);
  const parents = catalog.resources.filter(({ name }) => names.has(name));
  const client = await pool.connect();
  let isDone = false;
  let count = 0;
  try {
    const { snapshot, lsn } = await takeSnapshot(client, parents, progress, log, signal);
    for (const parent of parents) {
      for await (const routes of readParent(client, parent)) {
        signal.throwIfAborted();
        await addRoutes(control, owner, generation, routes, undefined);
        count += routes.length;
      }
    }
    await client.query('commit');
    const children = childrenOf(catalog);
    // Ahead of the end, so that nobody goes on who was not told. At the first start, too: what came since the slot is passed over.
    const content = formatAccountReset({ account: '*', resources: children.map(({ name }) => name) });
    // A stalled synchronous standby delays a commit's response, and this does not need it.
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

/** A snapshot that sees everything before the stream's beginning, with the tables locked ahead of it. */
async function takeSnapshot(
  client: PoolClient,
  parents: readonly Resource[],
  { unsettled, unsettledXmin }: CaptureProgress,
  log: Log,
  signal: AbortSignal,
): Promise<{ snapshot: string; lsn: string }> {
  const tables = tablesReadFor(parents).map(quoteTable).join(', ');
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    await client.query('begin isolation level repeatable read, read only');
    await client.query(`lock table ${tables} in access share mode`);
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
  const types = await loadTypes(client);
  const columns = await describeColumns(client, resource);
  const pgNameOf = (name: string) => {
    const column = columns.find((each) => each.name === name);
    return column === undefined ? '' : types.valueType(column.typeOid, column.typeModifier).pgName;
  };
  const { key, account } = resource;
  const owners = ownerColumns(resource);
  const selected = [
    ...key.map(quoteIdent),
    ...(typeof account === 'string'
      ? [accountTextSql(accountForm(pgNameOf(account)), quoteIdent(account))]
      : owners.map(quoteIdent)),
  ];
  const keyTypes = key.map(pgNameOf);
  const ownerTypes = owners.map(pgNameOf);
  await client.query(
    `declare ${CURSOR} no scroll cursor for select ${selected.join(', ')} from ${quoteTable(resource.table)}`,
  );
  for (;;) {
    const { rows } = await client.query<(string | null)[]>({
      text: `fetch ${FETCH_ROWS} from ${CURSOR}`,
      rowMode: 'array',
    });
    if (rows.length > 0) {
      yield rows.flatMap((row) => {
        const recordKey = referenceText(row.slice(0, key.length), keyTypes);
        const rest = row.slice(key.length);
        const owner = typeof account === 'string' ? (rest[0] ?? null) : referenceText(rest, ownerTypes);
        const route = { resource: resource.name, sinceLsn: 0n, owner, isDeleted: false };
        return recordKey === null ? [] : [{ ...route, key: recordKey }];
      });
    }
    if (rows.length < FETCH_ROWS) break;
  }
  await client.query(`close ${CURSOR}`);
}
