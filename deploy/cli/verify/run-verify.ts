import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { describeRowType } from '../../../shared/catalog/describe-table.ts';
import { type Catalog, type Resource, tablesReadFor } from '../../../shared/domain/catalog.ts';
import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { RowType } from '../../../shared/domain/row-type.ts';
import { isVisible, parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { retryWhileLocked } from '../../../shared/postgres/short-lock-waits.ts';
import { createPace } from '../../../shared/runtime/pace.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { applyEvent, type Violation } from './apply-event.ts';
import { awaitRecorded, type RecordedDeps } from './await-recorded.ts';
import { compareRows, type Difference } from './compare-rows.ts';
import { type PulledEvent, readFeedPage } from './feed-pages.ts';
import { loadFiles } from './load-files.ts';
import { openRecordStore, type RecordStore } from './record-store.ts';
import { findExport, takeExport, type VerifiedExport } from './verified-export.ts';
import { CouldNotTellError, type VerifyApi } from './verify-api.ts';
import { beginWithTables, openVerifySource } from './verify-source.ts';

/** Somebody may be waiting for an interrupted command to end. */
const REMOVE_LIMIT_MS = 5_000;

export interface VerifyDeps extends RecordedDeps {
  readonly api: VerifyApi;
  readonly catalog: Catalog;
  readonly sourceUrl: string;
  /** The value of the account column for a Tandem account. @throws SetupError when there is no such account */
  readonly sourceIdOf: (accountId: string) => Promise<string>;
  /** An empty directory of this run's own. */
  readonly directory: string;
  readonly rowsPerSecond: number;
  readonly onDifference: (difference: Difference) => void;
  readonly onViolation: (violation: Violation) => void;
  /** A stage of the work has begun, or gone on. */
  readonly onProgress: (stage: string, done: number, of?: number) => void;
}

export interface VerifyRequest {
  /** Undefined when the key is an account's own. */
  readonly accountId: string | undefined;
  readonly resources: readonly string[];
  /** An export that was made before; undefined to make one. */
  readonly exportId: string | undefined;
}

export interface VerifyResult {
  readonly exportId: string;
  /** Records of the account in the source. */
  readonly rows: number;
  readonly events: number;
  readonly differences: number;
  /** The snapshot's place in the WAL, up to which file and feed were compared with the source. */
  readonly comparedAt: string;
}

/**
 * Loads an export as a customer would, applies the feed, and compares with the source under one snapshot S.
 *
 * Exactly the events whose transaction is visible in S are applied, and S is compared once everything before L, a place
 * in the WAL after S, is in the event log: so that what is found is a difference, and never a feed that lags. Only reads,
 * but for the export it makes, which it removes again unless something is wrong with it.
 *
 * @throws CouldNotTellError, SetupError
 */
export async function runVerify(request: VerifyRequest, deps: VerifyDeps): Promise<VerifyResult> {
  await using source = await openVerifySource(deps.sourceUrl);
  try {
    return await verifyAgainst(source.client, request, deps);
  } catch (error) {
    throw source.explain(error);
  }
}

async function verifyAgainst(
  source: pg.Client,
  request: VerifyRequest,
  deps: VerifyDeps,
): Promise<VerifyResult> {
  const { api, catalog, onProgress, signal } = deps;
  let differences = 0;
  const counted: VerifyDeps = {
    ...deps,
    onDifference(found) {
      differences += 1;
      deps.onDifference(found);
    },
    onViolation(found) {
      differences += 1;
      deps.onViolation(found);
    },
  };
  let isCompleted = false;
  await using cleanup = new AsyncDisposableStack();
  const before =
    request.exportId === undefined
      ? await readRowTypes(retryWhileLocked(source), catalog, request.resources)
      : undefined;
  const view =
    request.exportId === undefined
      ? await takeExport(
          api,
          {
            ...request,
            rowsPerSecond: deps.rowsPerSecond,
            signal,
            onCreated: (id) =>
              cleanup.defer(async () => {
                if (differences === 0) await removeExport(api, id, isCompleted);
              }),
            onProgress: (status, progress) => onProgress(`export ${status}`, Math.round(progress * 100), 100),
          },
          catalog,
        )
      : await findExport(api, request.exportId, catalog);
  isCompleted = true;
  const path = join(deps.directory, `${view.id}.db`);
  cleanup.defer(() => rmSync(path, { force: true }));
  const records = cleanup.use(openRecordStore(path));
  const compared = await compareExport(view, before, records, source, counted);
  return { exportId: view.id, differences, ...compared };
}

async function compareExport(
  view: VerifiedExport,
  before: RowTypes | undefined,
  records: RecordStore,
  source: pg.Client,
  deps: VerifyDeps,
): Promise<{ rows: number; events: number; comparedAt: string }> {
  const { catalog, onProgress, onDifference, signal } = deps;
  const accountSourceId = await deps.sourceIdOf(view.accountId);
  const total = view.files.reduce((sum, { rows }) => sum + rows, 0);
  let loaded = 0;
  const loading = createPace(deps.rowsPerSecond, signal);
  await loadFiles(view, {
    ...deps,
    records,
    onRow() {
      loaded += 1;
      if (loaded % 1_000 !== 0) return undefined;
      onProgress('rows loaded', loaded, total);
      return loading(1_000);
    },
  });

  const feed = createFeedReader(view, records, deps);
  await feed.applySettled(source);

  const resources = catalog.resources.filter(({ name }) => view.resources.includes(name));
  await beginWithTables(source, tablesReadFor(resources), signal);
  const { snapshot, lsn } = await takeSnapshot(source);
  const rowTypes = await readRowTypes(source, catalog, view.resources);
  if (before !== undefined && JSON.stringify(rowTypes) !== JSON.stringify(before)) {
    throw new CouldNotTellError(
      'a table was altered during the comparison, which changes rows without an event: verify again',
    );
  }
  onProgress('waiting for the feed to pass the snapshot', 0);
  await awaitRecorded(lsn, deps);
  await feed.applyVisible(snapshot, lsn);

  let rows = 0;
  const reading = createPace(deps.rowsPerSecond, signal);
  for (const { resource, rowType } of rowTypes) {
    await compareRows({
      source,
      resource,
      rowType,
      accountSourceId,
      records,
      onDifference,
      async onBatch(count) {
        rows += count;
        onProgress('rows compared', rows, Math.max(rows, total));
        await reading(count);
      },
    });
  }
  await source.query('commit');
  for (const { resource, key } of records.rest()) {
    if (view.resources.includes(resource)) onDifference({ kind: 'extra', resource, key, columns: [] });
  }
  return { rows, events: feed.count, comparedAt: formatLsn(lsn) };
}

type RowTypes = readonly { readonly resource: Resource; readonly rowType: RowType }[];

async function readRowTypes(
  source: Queryable,
  catalog: Catalog,
  names: readonly string[],
): Promise<RowTypes> {
  const types = await loadTypes(source);
  const resources = catalog.resources.filter(({ name }) => names.includes(name));
  const rowTypes: { resource: Resource; rowType: RowType }[] = [];
  for (const resource of resources)
    rowTypes.push({ resource, rowType: await describeRowType(source, resource, types) });
  return rowTypes;
}

/** The place is read after the snapshot was taken, so every transaction that is visible committed before it. */
async function takeSnapshot(source: Queryable): Promise<{ snapshot: Snapshot; lsn: Lsn }> {
  const { rows } = await source.query<{ recovery: string; snapshot: string }>(
    'select pg_is_in_recovery()::text as recovery, pg_current_snapshot()::text as snapshot',
  );
  if (rows[0]?.recovery !== 'false') {
    throw new CouldNotTellError(
      'the source is a hot standby, whose snapshots do not say what they hold: connect to the primary',
    );
  }
  const place = await source.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  return { snapshot: parseSnapshot(rows[0].snapshot), lsn: parseLsn(place.rows[0]?.lsn ?? '') };
}

/** Reads the feed from the export on, in two goes. */
function createFeedReader(view: VerifiedExport, records: RecordStore, deps: VerifyDeps) {
  const { api, onProgress, signal } = deps;
  const account = `&account_id=${encodeURIComponent(view.accountId)}`;
  const pace = createPace(deps.rowsPerSecond, signal);
  const seal = `after_export=${encodeURIComponent(view.id)}`;
  let query = seal;
  let count = 0;
  const apply = (event: PulledEvent) => {
    count += 1;
    if (view.resources.includes(event.resource) || event.type === 'feed.reset')
      applyEvent(event, { ...deps, records });
  };
  return {
    get count() {
      return count;
    },
    /**
     * Applies what a snapshot of now sees, up to the first event that it does not: what is visible now is visible in every
     * later snapshot. So the one that is compared need not be held while a long feed is read.
     */
    async applySettled(source: Queryable): Promise<void> {
      for (;;) {
        const page = await readFeedPage(api, query, account);
        const { rows } = await source.query<{ snapshot: string }>(
          'select pg_current_snapshot()::text as snapshot',
        );
        const now = parseSnapshot(rows[0]?.snapshot ?? '');
        const invisible = page.events.findIndex(({ xid }) => !isVisible(xid, now));
        const visible = invisible === -1 ? page.events : page.events.slice(0, invisible);
        visible.forEach(apply);
        onProgress('events applied', count);
        await pace(page.events.length);
        const last = visible.at(-1);
        if (invisible === -1) query = page.next;
        else if (last !== undefined) query = `after=${last.positionText}&${seal}`;
        if (invisible !== -1 || !page.hasMore) return;
      }
    },
    /** Applies what the snapshot sees of the rest; behind `lsn` there is nothing of it. */
    async applyVisible(snapshot: Snapshot, lsn: Lsn): Promise<void> {
      for (;;) {
        const page = await readFeedPage(api, query, account);
        const reached = page.events.filter(({ position }) => position.commitLsn <= lsn);
        for (const event of reached) if (isVisible(event.xid, snapshot)) apply(event);
        onProgress('events applied', count);
        await pace(page.events.length);
        query = page.next;
        if (reached.length < page.events.length || !page.hasMore) return;
      }
    },
  };
}

/**
 * Also after an interruption, so that the export does not run on. Left to expire when it can't be removed: that is no reason
 * to doubt the result.
 */
async function removeExport(api: VerifyApi, id: string, isCompleted: boolean): Promise<void> {
  const limited = api.until(AbortSignal.timeout(REMOVE_LIMIT_MS));
  const removed = isCompleted
    ? limited.ask('DELETE', `/exports/${id}`)
    : limited.ask('POST', `/exports/${id}/cancel`);
  await removed.catch(() => undefined);
}
