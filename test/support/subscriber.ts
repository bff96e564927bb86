import { setTimeout as delay } from 'node:timers/promises';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { compareWithSource } from '../../deploy/demo/compare.ts';
import { parseExactJson } from '../../deploy/demo/exact-json.ts';
import { createReplica, type FeedEvent, linesOfBody, type Replica } from '../../deploy/demo/replica.ts';
import type { Customer, World } from '../../deploy/demo/world.ts';
import { findResource } from '../../shared/domain/catalog.ts';
import { publicKey } from '../../shared/domain/public-names.ts';

const EXPORT_LIMIT_MS = 120_000;

/** Loads a completed export's files through their links into a new replica, counts checked against the manifest's. */
export async function loadExport(world: World, customer: Customer, exportId: string): Promise<Replica> {
  const view = await customer.client.completedExport(exportId, EXPORT_LIMIT_MS);
  const replica = createReplica();
  for (const file of view.files ?? []) {
    const response = await fetch(file.url);
    if (!response.ok || response.body === null) throw new Error(`${file.name} answered ${response.status}`);
    const resource = findResource(world.catalog, file.resource);
    const keyColumns = resource === undefined ? [] : publicKey(resource);
    const rows = await replica.loadLines(file.resource, linesOfBody(response.body, file.name), keyColumns);
    if (rows !== file.rows)
      throw new Error(`${file.name} holds ${rows} rows, the manifest says ${file.rows}`);
  }
  return replica;
}

/** Applies everything the pulled feed holds now. `after` is a query like `after_export=…` or `after=…`. @returns where to go on */
export async function pullFeed(customer: Customer, after: string, replica: Replica): Promise<string> {
  let query = after;
  for (;;) {
    const text = await customer.client.text('GET', `/events?${query}&limit=1000`);
    const page = parseExactJson(text) as { data: FeedEvent[]; has_more: boolean; next_cursor: string };
    for (const event of page.data) replica.apply(event);
    query = `after=${encodeURIComponent(page.next_cursor)}`;
    if (!page.has_more) return query;
  }
}

/** What is different between the replica and the source, and what came out of order; empty means that all is well. */
export async function differencesNow(world: World, customer: Customer, replica: Replica): Promise<string[]> {
  const { differences } = await compareWithSource(world.sourceUrl, world.catalog, customer.sourceId, replica);
  return [...differences, ...replica.violations];
}

/** Longer than a feed takes that begins again on a busy machine. */
const SETTLE_LIMIT_MS = 150_000;

/**
 * Waits until the replica is the source, with `advance` called before each look (to pull, for one).
 * @returns what is different after the limit; empty means that all is well
 */
export async function differencesAfter(
  world: World,
  customer: Customer,
  replica: Replica,
  advance: () => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const deadlineMs = Date.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const askedAtMs = Date.now();
    await advance();
    const faults = await differencesNow(world, customer, replica);
    if (faults.length === 0 || Date.now() > deadlineMs) return faults;
    // To compare every record takes the processor from the feed that is waited for.
    await delay(Math.max(200, Date.now() - askedAtMs));
  }
}

/** Creates an export of everything the account has. */
export function createExport(world: World, customer: Customer, options: object = {}): Promise<ExportView> {
  return customer.client.call<ExportView>('POST', '/exports', {
    resources: world.catalog.resources.map(({ name }) => name),
    ...options,
  });
}
