import type { Pool } from 'pg';
import { readItemId } from '../../../shared/bulk/item-ids.ts';
import { showItemId } from '../../../shared/domain/bulk.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { jsonResponse, type TextResponse } from '../http/response.ts';
import { estimateItems } from './estimate-items.ts';
import { type BulkFileRow, findBulkFile } from './file-store.ts';
import type { BulkBody, CheckedRequest } from './request.ts';
import { filterOfKeys, type SampleItem, sampleRecords } from './sample-records.ts';
import { recentBulkRate } from './store.ts';

/**
 * Assumed rate in items per second until a job of the same operation has completed, and the shortest estimate of a job.
 */
const ASSUMED_RATE = 5_000;
const ASSUMED_HTTP_RATE = 20;
const LEAST_SECONDS = 1;

const SAMPLE_ITEMS = 10;

/** The response to `dry_run`: how many items the request selects, how long they take, and the first of them. */
export async function dryRunResponse(
  db: Queryable,
  body: BulkBody,
  checked: CheckedRequest,
  accountId: string,
  sourceId: string,
  sample: readonly SampleItem[],
  source: Pool,
): Promise<TextResponse> {
  const file = await fileOf(db, body, accountId);
  const estimated = body.ids?.length ?? (await countOf(file, checked, sourceId, source));
  return jsonResponse(200, {
    dry_run: true,
    resource: body.resource,
    operation: body.operation,
    estimated_items: estimated,
    estimated_duration_seconds: await durationOf(db, body, checked, estimated),
    sample,
  });
}

/** The first items. IDs are shown whether their records exist or not; a file is not read yet. */
export async function sampleOf(
  { ids }: BulkBody,
  { table, filter }: CheckedRequest,
  sourceId: string,
  source: Pool,
): Promise<SampleItem[]> {
  if (filter !== undefined) return sampleRecords(source, table, filter, sourceId, SAMPLE_ITEMS);
  const keys = (ids ?? [])
    .map((id) => readItemId(id, table.key))
    .flatMap((item) => ('key' in item ? [item.key] : []))
    .slice(0, SAMPLE_ITEMS);
  if (keys.length === 0 || !table.key.every(({ name }) => table.visibleColumn(name))) {
    return keys.map((key) => ({ item_id: showItemId(key) }));
  }
  const found = await sampleRecords(source, table, filterOfKeys(table, keys), sourceId, SAMPLE_ITEMS);
  const known = new Map(found.map((item) => [item.item_id, item]));
  return keys.map((key) => known.get(showItemId(key)) ?? { item_id: showItemId(key) });
}

/** How many items a filter or a file selects. The count of a filter is the planner's estimate. */
export async function countOf(
  file: BulkFileRow | undefined,
  { table, filter }: CheckedRequest,
  sourceId: string,
  source: Pool,
): Promise<number> {
  if (filter === undefined) return Number(file?.items ?? 0);
  return estimateItems(source, table, filter, sourceId);
}

/** The time that items take, in whole seconds, at the rate of recent jobs of the operation. */
export async function durationOf(
  db: Queryable,
  { resource, operation: name }: BulkBody,
  { operation }: CheckedRequest,
  items: number,
): Promise<number> {
  const assumed = operation.kind === 'http' ? ASSUMED_HTTP_RATE : ASSUMED_RATE;
  const rate = (await recentBulkRate(db, resource, name)) ?? assumed;
  return Math.ceil(LEAST_SECONDS + items / rate);
}

/** @throws AppError `not_found`, also for another account's file */
export async function fileOf(
  db: Queryable,
  { file_id: id }: BulkBody,
  accountId: string,
): Promise<BulkFileRow | undefined> {
  if (id === undefined) return undefined;
  const file = await findBulkFile(db, accountId, id);
  if (file === undefined) throw new AppError('not_found', `There is no file ${id}, or the file has expired.`);
  return file;
}
