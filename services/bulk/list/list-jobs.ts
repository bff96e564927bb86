import type { Pool, PoolClient } from 'pg';
import { type BulkTable, loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { readIdLines } from '../../../shared/bulk/id-file.ts';
import { badItem, duplicateOf, readItemId } from '../../../shared/bulk/item-ids.ts';
import { keyOf, type Statement, selectItems, selectNewItems } from '../../../shared/bulk/select-items.ts';
import { chunkItemsOf, cutChunks, insertChunks } from '../../../shared/control/bulk/bulk-chunks.ts';
import { parseBulkRequest } from '../../../shared/control/bulk/bulk-request.ts';
import { WORKER_LOST } from '../../../shared/control/bulk/claim-chunk.ts';
import {
  type ClaimedListing,
  claimListing,
  finishListing,
  releaseListing,
  renewListing,
} from '../../../shared/control/bulk/claim-listing.ts';
import { failJob } from '../../../shared/control/bulk/end-job.ts';
import { BULK_LEASE_SECONDS } from '../../../shared/control/leases.ts';
import { type BulkRequest, type ListedItem, showItemId } from '../../../shared/domain/bulk.ts';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { publicKey } from '../../../shared/domain/public-names.ts';
import { LeaseLostError, renewLease } from '../../../shared/runtime/lease-renewer.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { inSpan } from '../../../shared/runtime/tracing.ts';
import { isAbortError, type Worker } from '../../../shared/runtime/worker.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import type { ActiveJobs } from '../active-jobs.ts';
import { findJobOperation } from '../find-job-operation.ts';
import {
  classifyListingError,
  countedFailure,
  JobFailedError,
  repeatedFailure,
  SourceQueryError,
} from '../job-failures.ts';

const IDLE_MS = 250;

/** Between attempts at one job during an outage: 0.5, 1, 2, 4, 8, 10, 10, … s at most, shared by all workers. */
const RETRY = { initialMs: 500, maxMs: 10_000 };

export interface ListerDeps extends ListDeps {
  readonly active: ActiveJobs;
  readonly log: Log;
}

/** Lists the items of started jobs, one job at a time; a process runs several listers. */
export function createLister(index: number, owner: string, deps: ListerDeps): Worker {
  const notifier = deps.active.notifier();
  return {
    name: `bulk-lister-${index}`,
    ready: Promise.resolve(),
    async run(signal) {
      while (!signal.aborted) {
        const found = await step(owner, deps, signal).catch((error: unknown) => {
          deps.log.warn('bulk.listing_claim_failed', { error });
          return false;
        });
        if (!found) await notifier.wait(deps.active.restMs(IDLE_MS), signal);
      }
    },
  };
}

async function step(owner: string, deps: ListDeps & { log: Log }, signal: AbortSignal): Promise<boolean> {
  const { control } = deps;
  const claim = await claimListing(control, owner);
  if (claim === undefined) return false;
  const log = deps.log.child({ jobId: claim.jobId, listCount: claim.listCount });
  const startedAtMs = performance.now();
  try {
    // Before the work: items that crash their lister leave nobody to report it.
    const lost = repeatedFailure(claim.lastFailure === WORKER_LOST ? WORKER_LOST : null, claim.failureCount);
    if (lost !== undefined) throw new JobFailedError(lost.code, lost.message);
    const { jobId, traceparent: parent } = claim;
    const start = { parent, attributes: { 'tandem.job_id': jobId } };
    const total = await inSpan('list items', start, () => listJob(claim, deps, signal));
    const durationMs = Math.round(performance.now() - startedAtMs);
    log.info(total === undefined ? 'bulk.listing_let_go' : 'bulk.listed', { total, durationMs });
    if (total !== undefined && !claim.isStarted) log.info('bulk.job_started');
    if (total === undefined) await releaseListing(control, claim, 0);
  } catch (error) {
    const attempts = claim.listCount - claim.round;
    const name = countedFailure(error);
    const count = name === claim.lastFailure ? claim.failureCount + 1 : 1;
    const failure = classifyListingError(error, count) ?? repeatedFailure(name ?? null, count);
    if (failure === undefined) {
      const retryInMs = backoffMs(attempts - 1, RETRY);
      log.warn('bulk.listing_failed', { error, attempts, retryInMs });
      await releaseListing(control, claim, retryInMs, name);
    } else {
      log.error('bulk.job_failed', { code: failure.code, error });
      await failJob(control, claim.jobId, failure);
    }
  }
  return true;
}

export interface ListDeps {
  readonly control: Pool;
  readonly source: Pool;
  readonly storage: Storage;
  readonly catalog: Catalog;
  readonly chunkItems: number;
  now(): number;
}

/**
 * Stores the items of a job in chunks; in a later round of live semantics, only the new ones.
 *
 * @returns the number of items that the job has now, or undefined when this worker has lost the listing
 * @throws JobFailedError when no worker can list the job; SourceQueryError
 */
async function listJob(
  claim: ClaimedListing,
  deps: ListDeps,
  stopping: AbortSignal,
): Promise<number | undefined> {
  const { control, source, catalog } = deps;
  const request = parseBulkRequest(claim.request);
  const { resource, operation } = findJobOperation(catalog, request);
  const table = await loadBulkTable(source, resource).catch((cause: unknown) => {
    throw new SourceQueryError(cause);
  });
  const { maxFailures } = request;
  const chunkItems = chunkItemsOf({ isHttp: operation.kind === 'http', maxFailures }, deps.chunkItems);
  await using lease = renewLease({
    leaseSeconds: BULK_LEASE_SECONDS,
    renew: async () =>
      (await renewListing(control, claim)) ? 'held' : new LeaseLostError('the list is another worker’s'),
    stopping,
  });
  const fence = { owner: claim.owner, listCount: claim.listCount };
  const write = async (client: PoolClient): Promise<number | undefined> => {
    const next = { chunk: claim.listedChunks, seq: claim.listedItems };
    for await (const items of await pagesOf(client, claim, request, table, deps)) {
      if (lease.signal.aborted) return undefined;
      const chunks = cutChunks(items, chunkItems, next);
      if (!(await insertChunks(control, claim.jobId, chunks, fence))) return undefined;
      next.chunk += chunks.length;
      next.seq += items.length;
    }
    return (await finishListing(control, claim, next.seq, deps.now())) ? next.seq : undefined;
  };
  const client = await (claim.filePath === null ? source : control).connect();
  let broken = true;
  try {
    const total = await write(client);
    broken = total === undefined;
    return total;
  } catch (error) {
    if (isAbortError(error)) return undefined;
    throw error;
  } finally {
    // Closes the session of an unfinished transaction, which ends the transaction.
    client.release(broken);
  }
}

async function pagesOf(
  client: PoolClient,
  { jobId, filePath, sourceId, round }: ClaimedListing,
  { filter: filterInput }: BulkRequest,
  table: Awaited<ReturnType<typeof loadBulkTable>>,
  { storage }: ListDeps,
) {
  if (filePath !== null) return listFile(client, () => storage.openRead(filePath), table);
  if (filterInput === null) {
    throw new JobFailedError('file_gone', 'The file of IDs was deleted before the job started.');
  }
  const filter = parseFilter(filterInput);
  return listFilter(
    client,
    round === 0 ? selectItems(table, filter, sourceId) : selectNewItems(table, filter, sourceId, jobId),
    table,
  );
}

const PAGE_ITEMS = 10_000;

/**
 * The items of a selection under one snapshot, in key order, in pages.
 *
 * @throws SourceQueryError
 */
async function* listFilter(
  client: PoolClient,
  selection: Statement,
  table: BulkTable,
): AsyncGenerator<ListedItem[]> {
  try {
    yield* readPages(client, selection, table);
  } catch (cause) {
    throw new SourceQueryError(cause);
  }
}

async function* readPages(
  client: PoolClient,
  { text, values }: Statement,
  table: BulkTable,
): AsyncGenerator<ListedItem[]> {
  await client.query('begin isolation level repeatable read, read only');
  // A page may wait for a sort of all items, and until the pages before it are stored.
  await client.query(
    `set local statement_timeout = '10min'; set local idle_in_transaction_session_timeout = '5min'`,
  );
  // The planner has no statistics of new ledger rows, and a nested loop over them for each item would not end.
  await client.query('set local enable_nestloop = off');
  await client.query(`declare bulk_items no scroll cursor for ${text}`, [...values]);
  for (;;) {
    const { rows } = await client.query<Record<string, string | null>>(`fetch ${PAGE_ITEMS} from bulk_items`);
    if (rows.length === 0) break;
    yield rows.map((row) => ({ key: keyOf(table, row) }));
  }
  await client.query('commit');
}

const PAGE_LINES = 10_000;

/**
 * The items of an ID file in its order, in pages. To find duplicates among millions of IDs takes a sort, which the control store
 * does on its disk, so that memory here stays flat.
 */
async function* listFile(
  client: PoolClient,
  openFile: () => Promise<AsyncIterable<Buffer>>,
  table: BulkTable,
): AsyncGenerator<ListedItem[]> {
  await client.query('begin');
  await client.query(
    `set local statement_timeout = '10min'; set local idle_in_transaction_session_timeout = '5min'`,
  );
  await client.query(
    'create temporary table bulk_lines (line integer, id text, item text not null) on commit drop',
  );
  let page: { line: number; id: string | null; item: string }[] = [];
  const flush = async () => {
    await client.query('insert into bulk_lines select * from unnest($1::int[], $2::text[], $3::text[])', [
      page.map(({ line }) => line),
      page.map(({ id }) => id),
      page.map(({ item }) => item),
    ]);
    page = [];
  };
  const names = publicKey(table.resource);
  // Opened once everything before it stands: only reading closes it.
  for await (const lines of readIdLines(await openFile(), { names })) {
    for (const { line, text, fault } of lines) {
      const item =
        fault === undefined ? readItemId(text, table.key, line) : badItem(text, fault.detail, line);
      page.push({ line, id: 'key' in item ? showItemId(item.key) : null, item: JSON.stringify(item) });
      if (page.length >= PAGE_LINES) await flush();
    }
  }
  if (page.length > 0) await flush();
  await client.query(
    `declare bulk_items no scroll cursor for
     select item, id is not null and row_number() over (partition by id order by line) > 1 as is_repeated
     from bulk_lines order by line`,
  );
  for (;;) {
    const { rows } = await client.query<{ item: string; is_repeated: boolean }>(
      `fetch ${PAGE_LINES} from bulk_items`,
    );
    if (rows.length === 0) break;
    yield rows.map(({ item: text, is_repeated: isRepeated }) => {
      const item = JSON.parse(text) as ListedItem;
      return isRepeated && 'key' in item ? duplicateOf(item) : item;
    });
  }
  await client.query('commit');
}
