import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { findResource } from '../../shared/domain/catalog.ts';
import { publicKey } from '../../shared/domain/public-names.ts';
import type { ApiClient, ExportView } from './api-client.ts';
import { type Comparison, compareWithSource } from './compare.ts';
import { createDelayWatch } from './delay-watch.ts';
import type { ProductStory } from './product-stories.ts';
import { openReceiver, type Receiver } from './receiver.ts';
import { createReplica, type FeedEvent, linesOfFile, type Replica } from './replica.ts';
import { type BulkJob, runBulk } from './run-bulk.ts';
import { startTraffic } from './traffic.ts';
import { openWorld, type World, type WorldOptions } from './world.ts';

export interface DemoOptions {
  stack: WorldOptions['stack'];
  directory: string;
  /** Where the downloaded files stay. */
  downloads: string;
  story: ProductStory;
  /** Records of the product's main resource to begin with. */
  rows: number;
  /** Transactions a second that the product makes all along. */
  perSecond: number;
  /** How long after the export the receiver subscribes. */
  subscribeAfterMs: number;
  /** How long the product goes on writing while the receiver follows, at least. */
  followMs: number;
  log: WorldOptions['log'];
  say(line: string): void;
}

const ACCOUNTS = 5;
const EXPORT_LIMIT_MS = 120_000;
const DRAIN_LIMIT_MS = 180_000;

/**
 * The main job from end to end: an export while the product writes, a hand-off to a webhook receiver, bulk operations
 * meanwhile, and the proof that file plus feed is the source.
 *
 * @returns whether the replica is equal to the source, nothing in the feed was out of order or twice, and the feed named
 *   the bulk operation for exactly what it changed
 */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const { say, story } = options;
  const started = Date.now();
  const since = () => `${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s`;
  const tell = (line: string) => say(`${since()}  ${line}`);

  await using world = await openWorld({
    stack: options.stack,
    directory: options.directory,
    product: story.product,
    rows: options.rows,
    accounts: ACCOUNTS,
    services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 },
    log: options.log,
  });
  const { generated } = world;
  const counts = Object.entries(generated.counts).map(([name, rows]) => `${count(rows)} ${name}`);
  tell(
    `the product ${story.product.name} has ${counts.join(', ')} of ${ACCOUNTS} accounts; Tandem runs at ${world.apiUrl}`,
  );
  const customer = await world.createCustomer(generated.accounts[0] ?? '');
  const traffic = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: generated.accounts,
    perSecond: options.perSecond,
    connections: 6,
    seed: 1,
    work: story.work,
  });
  const trafficStartedMs = Date.now();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(async () => void (await traffic.stop()));

  const spanning = await traffic.openTransaction();
  tell('the product writes all along, and one transaction with a savepoint stays open across the snapshot');
  const exportStartedMs = Date.now();
  const accepted = await customer.client.call<ExportView>('POST', '/exports', {
    resources: world.catalog.resources.map(({ name }) => name),
    compression: 'gzip',
  });
  const finished = await customer.client.completedExport(accepted.id, EXPORT_LIMIT_MS);
  const exportMs = Date.now() - exportStartedMs;
  await spanning.commit();
  const rows = finished.files?.reduce((sum, file) => sum + file.rows, 0) ?? 0;
  tell(
    `export ${finished.id} is complete: ${count(rows)} rows in ${(exportMs / 1000).toFixed(1)} s ` +
      `(${count(Math.round(rows / (exportMs / 1000)))} rows/s), snapshot ${snapshotText(finished)}`,
  );

  const replica = createReplica();
  const files = await loadFiles(finished, world, replica, options.downloads);
  for (const file of files)
    tell(`downloaded ${file.path}: ${count(file.rows)} rows, SHA-256 as in the manifest`);

  tell(`the receiver subscribes ${options.subscribeAfterMs / 1000} s later, with start: {after_export}`);
  await delay(options.subscribeAfterMs);
  const eventsOfJob = new Map<string, number>();
  const delays = createDelayWatch(Date.now());
  await using receiver = await openReceiver({
    onDelivery({ event, receivedAtMs }) {
      const committedMs = Date.parse((event as FeedEvent & { timestamp: string }).timestamp);
      if (replica.apply(event)) {
        delays.see(committedMs, receivedAtMs);
        const jobId = event.source?.bulk_job_id;
        if (jobId !== undefined) eventsOfJob.set(jobId, (eventsOfJob.get(jobId) ?? 0) + 1);
      }
      return { status: 204 };
    },
  });
  const webhook = await customer.client.call<{ id: string; secret: string }>('POST', '/webhooks', {
    url: receiver.url,
    events: ['*'],
    start: { after_export: finished.id },
  });
  receiver.setSecret(webhook.secret);
  await delay(options.followMs);
  // Thousands of changes at once are a backlog again, which the product's own wait behind.
  delays.stop();
  tell(`the receiver ${delays.text()}`);
  const job = await bulkPart(story, world, customer.client, replica, tell);
  const written = await traffic.stop();
  const trafficSeconds = (Date.now() - trafficStartedMs) / 1000;
  tell(
    `the product stopped: ${count(written.commits)} commits and ${count(written.rollbacks)} rollbacks, ` +
      `${count(Math.round((written.commits + written.rollbacks) / trafficSeconds))} transactions/s, ` +
      `${count(written.savepoints)} with savepoints`,
  );

  const drainLimitMs = Date.now() + DRAIN_LIMIT_MS;
  let expected: number;
  let comparison: Comparison;
  do {
    // A feed may stand still for a moment without being at its end; what is missing then still comes.
    expected = await drainedFeed(customer.client, finished.id, receiver);
    comparison = await compareWithSource(world.sourceUrl, world.catalog, customer.sourceId, replica);
  } while (comparison.differenceCount > 0 && Date.now() < drainLimitMs);
  tell(
    `received ${count(receiver.counts.deliveries)} events of ${count(expected)} in the feed, ` +
      `${receiver.counts.badSignatures} bad signatures`,
  );
  const named = eventsOfJob.get(job.job_id) ?? 0;
  tell(`${count(named)} of the events name the bulk job, which changed ${count(job.succeeded)} records`);
  for (const line of [...comparison.differences, ...replica.violations.slice(0, 20)]) say(`         ${line}`);
  const isEqual =
    comparison.differenceCount === 0 &&
    replica.violations.length === 0 &&
    receiver.counts.badSignatures + receiver.counts.idMismatches === 0 &&
    named === job.succeeded &&
    job.succeeded > 0 &&
    written.commits > 0;
  tell(
    isEqual
      ? `EQUAL: all ${count(comparison.rows)} rows of the replica are those of the source`
      : `NOT EQUAL: ${comparison.differenceCount} differences, ${replica.violations.length} violations of order`,
  );
  return isEqual;
}

async function bulkPart(
  story: ProductStory,
  { catalog }: World,
  client: ApiClient,
  replica: Replica,
  tell: (line: string) => void,
): Promise<BulkJob> {
  const resource = findResource(catalog, story.product.mainResource);
  if (resource === undefined) throw new Error(`the catalog has no ${story.product.mainResource}`);
  const keys = [...replica.records(resource.name).keys()].slice(0, resource.syncLimit);
  const ids = keys.map((key) => String((JSON.parse(key) as { id: string | number }).id));
  return runBulk(story, { client, resource, ids, tell });
}

/** Downloads each file through its presigned link, checks it against the manifest's hash, and loads it. */
async function loadFiles(
  view: ExportView,
  world: World,
  replica: Replica,
  directory: string,
): Promise<{ path: string; rows: number }[]> {
  await mkdir(directory, { recursive: true });
  const loaded = [];
  for (const file of view.files ?? []) {
    const path = join(directory, file.name);
    const response = await fetch(file.url);
    if (!response.ok || response.body === null)
      throw new Error(`${file.name}: the link returned ${response.status}`);
    const hash = createHash('sha256');
    const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
    body.on('data', (chunk: Buffer) => hash.update(chunk));
    await pipeline(body, createWriteStream(path));
    const sha256 = hash.digest('hex');
    if (sha256 !== file.sha256)
      throw new Error(`${file.name} has SHA-256 ${sha256}, the manifest says ${file.sha256}`);
    const resource = findResource(world.catalog, file.resource ?? '');
    const keyColumns = resource === undefined ? [] : publicKey(resource);
    const rows = await replica.loadLines(file.resource, linesOfFile(path), keyColumns);
    if (rows !== file.rows)
      throw new Error(`${file.name} holds ${rows} rows, the manifest says ${file.rows}`);
    loaded.push({ path, rows });
  }
  return loaded;
}

/**
 * Waits until the receiver has what the pulled feed holds, and the feed has stopped growing. Pull and push are two ways
 * to the same events, so each checks the other. @returns the number of events in the feed after the export
 */
async function drainedFeed(client: ApiClient, exportId: string, receiver: Receiver): Promise<number> {
  const deadlineMs = Date.now() + DRAIN_LIMIT_MS;
  let cursor: string | undefined;
  let total = 0;
  let quietRounds = 0;
  while (quietRounds < 5) {
    const query = cursor === undefined ? `after_export=${exportId}` : `after=${encodeURIComponent(cursor)}`;
    const page = await client.call<{ data: unknown[]; has_more: boolean; next_cursor: string }>(
      'GET',
      `/events?${query}&limit=1000`,
    );
    total += page.data.length;
    cursor = page.next_cursor ?? cursor;
    const isQuiet = page.data.length === 0 && receiver.counts.deliveries >= total;
    quietRounds = isQuiet ? quietRounds + 1 : 0;
    if (Date.now() > deadlineMs) {
      throw new Error(
        `the receiver has ${receiver.counts.deliveries} events, the feed ${total}, after ${DRAIN_LIMIT_MS / 1000} s`,
      );
    }
    if (page.data.length === 0) await delay(200);
  }
  return total;
}

function snapshotText({ snapshot }: ExportView): string {
  return snapshot === undefined
    ? '?'
    : `${snapshot.xmin}:${snapshot.xmax}:${snapshot.xip.join(',')} at ${snapshot.lsn}`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
