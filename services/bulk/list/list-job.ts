import type { Pool, PoolClient } from 'pg';
import { loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { findOperation } from '../../../shared/bulk/operation.ts';
import { selectItems, selectNewItems } from '../../../shared/bulk/select-items.ts';
import { chunkItemsOf, cutChunks, insertChunks } from '../../../shared/control/bulk/bulk-chunks.ts';
import {
  type ClaimedListing,
  finishListing,
  renewListing,
} from '../../../shared/control/bulk/claim-listing.ts';
import { LEASE_SECONDS } from '../../../shared/control/bulk/lease.ts';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { LeaseLostError, renewLease } from '../../../shared/runtime/lease-renewer.ts';
import { isAbortError } from '../../../shared/runtime/worker.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import { JobFailedError, SourceQueryError } from '../job-failures.ts';
import { listFile } from './list-file.ts';
import { listFilter } from './list-filter.ts';

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
export async function listJob(
  claim: ClaimedListing,
  deps: ListDeps,
  stopping: AbortSignal,
): Promise<number | undefined> {
  const { control, source, catalog } = deps;
  const resource = findResource(catalog, claim.request.resource);
  const operation = resource && findOperation(resource, claim.request.operation);
  if (resource === undefined || operation === undefined) {
    throw new JobFailedError('operation_gone', 'The catalog no longer has this operation.');
  }
  const table = await loadBulkTable(source, resource).catch((cause: unknown) => {
    throw new SourceQueryError(cause);
  });
  const { maxFailures } = claim.request;
  const chunkItems = chunkItemsOf({ isHttp: operation.kind === 'http', maxFailures }, deps.chunkItems);
  await using lease = renewLease({
    leaseSeconds: LEASE_SECONDS,
    renew: async () =>
      (await renewListing(control, claim)) ? 'held' : new LeaseLostError('the list is another worker’s'),
    stopping,
  });
  const fence = { owner: claim.owner, listCount: claim.listCount };
  const write = async (client: PoolClient): Promise<number | undefined> => {
    const next = { chunk: claim.listedChunks, seq: claim.listedItems };
    for await (const items of await pagesOf(client, claim, table, deps)) {
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
  { jobId, request, filePath, sourceId, round }: ClaimedListing,
  table: Awaited<ReturnType<typeof loadBulkTable>>,
  { storage }: ListDeps,
) {
  if (filePath !== null) return listFile(client, () => storage.openRead(filePath), table);
  if (request.filter === null) {
    throw new JobFailedError('file_gone', 'The file of IDs was deleted before the job started.');
  }
  const filter = parseFilter(request.filter);
  return listFilter(
    client,
    round === 0 ? selectItems(table, filter, sourceId) : selectNewItems(table, filter, sourceId, jobId),
    table,
  );
}
