import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { compareWithSource } from '../../deploy/demo/compare.ts';
import { parseExactJson } from '../../deploy/demo/exact-json.ts';
import { seededRandom } from '../../deploy/demo/random.ts';
import { type Answer, openReceiver, type Receiver } from '../../deploy/demo/receiver.ts';
import type { FeedEvent, Replica } from '../../deploy/demo/replica.ts';
import type { BulkJob } from '../../deploy/demo/run-bulk.ts';
import { startTraffic } from '../../deploy/demo/traffic.ts';
import { type Customer, openWorld, type World, type WorldOptions } from '../../deploy/demo/world.ts';
import { CLIENT_ENV } from '../support/kafka-client.ts';
import { jobFaults, keepChanging } from './keep-changing.ts';
import { type ExportKind, keepExporting } from './keep-exporting.ts';
import { DRAIN_LIMIT_MS, persistently } from './persistently.ts';
import { readTopicFaults } from './read-topic-faults.ts';

export interface ChaosOptions {
  databaseUrl: string;
  kafkaBrokers: string;
  /**
   * Breaks things again and again until the signal aborts, and leaves all servers running.
   *
   * @param cleanup ends what it has started, once all is checked
   * @returns how often each was broken
   */
  breakThings(
    world: World,
    signal: AbortSignal,
    cleanup: AsyncDisposableStack,
  ): Promise<Record<string, number>>;
  schemaRegistryUrl: string;
  directory: string;
  /** Resolves when enough was broken; setting up, draining and checking come on top. Called once all is set up. */
  until(): Promise<unknown>;
  seed: number;
  /** Processes of each service but the api; of capture one is at work, and the others wait for the slot. */
  copies: number;
  rows: number;
  perSecond: number;
  /** Of exports, which each customer takes in turns. */
  exportKinds: readonly ExportKind[];
  /** Programs of another version. */
  mainOf?: WorldOptions['mainOf'];
  frontOf?: WorldOptions['frontOf'];
  log: WorldOptions['log'];
  say(line: string): void;
  /** Called for each export whose files are loaded. */
  onLoaded?(): void;
}

export interface ChaosResult {
  /** What was broken, and how many times: services, and `source` and `broker`. */
  breaks: Record<string, number>;
  exports: number;
  /** Of those, exports whose rows were read chunk by chunk, and of these the paused ones. */
  chunkedExports: number;
  pausedExports: number;
  webhooks: number;
  jobs: number;
  commits: number;
  changesInTopic: number;
  deliveries: number;
  /** Empty when everything held. */
  faults: string[];
}

/** A subscriber made of one export: its files, and the feed after it. */
interface Subscriber {
  customer: Customer;
  exportId: string;
  replica: Replica;
  receiver?: Receiver;
  ids: Map<string, string>;
  /** Where the next pull of the feed goes on. After an hour it has hundreds of pages. */
  cursor?: string;
}

/** Room for the connections of two of each service. */
export const CHAOS_POSTGRES = { max_connections: '300' };

const MAX_WEBHOOKS = 6;
/** Hanging receivers are given up soon. */
const DELIVERY_TIMEOUT_MS = 3_000;

/**
 * Breaks things (random services, the source and the broker) while the product writes, exports and bulk operations run and events
 * are delivered to receivers that fail, hang and lie. Then lets everything come to rest and checks: each export's file with the
 * feed after it is the source (so the file was its snapshot, and no event is missing), no event under two IDs, no change twice in
 * the topic, and one for each item that a bulk operation changed. What is broken when, and how receivers answer, follows from the
 * seed; how it interleaves does not.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { databaseUrl, kafkaBrokers, schemaRegistryUrl } = options;
  await using world = await openWorld({
    stack: { databaseUrl, kafkaBrokers, schemaRegistryUrl },
    directory: options.directory,
    rows: options.rows,
    accounts: 3,
    mainAccountShare: 0.6,
    seed: options.seed,
    services: {
      api: 1,
      extractor: options.copies,
      writer: options.copies,
      capture: options.copies,
      dispatcher: options.copies,
      bulk: options.copies,
    },
    log: options.log,
    ...(options.mainOf === undefined ? {} : { mainOf: options.mainOf }),
    ...(options.frontOf === undefined ? {} : { frontOf: options.frontOf }),
    // Every retry falls within the run. A broker may take a minute to recover on a busy machine, and exports wait for it.
    env: {
      ...CLIENT_ENV,
      EXTRACTOR_FEED_TIMEOUT_MS: String(DRAIN_LIMIT_MS),
      // Chunks of a thousand rows.
      ...(options.exportKinds.includes('chunked') ? { EXTRACTOR_CHUNK_BYTES: '1' } : {}),
      RETRY_SCHEDULE_SECONDS: '1,1,1,2,2,2,3,3,3',
      DELIVERY_TIMEOUT_MS: String(DELIVERY_TIMEOUT_MS),
    },
  });
  const customers = await Promise.all(
    world.generated.accounts.slice(0, 2).map((id) => world.createCustomer(id)),
  );
  const traffic = await startTraffic({
    databaseUrl: world.sourceUrl,
    accounts: world.generated.accounts,
    perSecond: options.perSecond,
    connections: 4,
    seed: options.seed,
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(async () => void (await traffic.stop()));

  const stop = new AbortController();
  const result: ChaosResult = {
    breaks: {},
    exports: 0,
    chunkedExports: 0,
    pausedExports: 0,
    webhooks: 0,
    jobs: 0,
    commits: 0,
    changesInTopic: 0,
    deliveries: 0,
    faults: [],
  };
  const misbehaviour = { share: 0.05, random: seededRandom(options.seed + 1) };
  const subscribers: Subscriber[] = [];
  const jobs: BulkJob[] = [];
  const work = Promise.all([
    options.breakThings(world, stop.signal, cleanup).then((breaks) => Object.assign(result.breaks, breaks)),
    ...customers.map((customer, index) =>
      keepExporting(
        { customer, kinds: options.exportKinds, seed: options.seed + index },
        stop.signal,
        async (loaded) => {
          const { exportId, replica, kind, wasPaused } = loaded;
          const subscriber = { customer, exportId, replica, ids: new Map() };
          subscribers.push(subscriber);
          result.exports += 1;
          options.onLoaded?.();
          if (kind === 'chunked') result.chunkedExports += 1;
          if (wasPaused) result.pausedExports += 1;
          result.faults.push(...loaded.faults);
          options.say(
            `${kind} export ${exportId} of ${customer.sourceId} loaded${wasPaused ? ', was paused' : ''}`,
          );
          if (result.webhooks >= MAX_WEBHOOKS) return;
          result.webhooks += 1;
          await subscribe(subscriber, cleanup, () => misbehave(misbehaviour));
        },
      ),
    ),
    ...customers.slice(0, 1).map((customer) =>
      keepChanging({ customer, rows: options.rows, seed: options.seed }, stop.signal, (job) => {
        jobs.push(job);
        options.say(`bulk operation ${job.job_id} ${job.status}: ${job.succeeded} of ${job.total}`);
      }),
    ),
  ]);
  await Promise.race([options.until(), work]);
  stop.abort();
  misbehaviour.share = 0;
  await work;
  result.commits = (await traffic.stop()).commits;
  options.say(
    `${JSON.stringify(result.breaks)}, ${result.exports} exports; waiting for everything to come to rest`,
  );

  for (const subscriber of subscribers) {
    const faults = await checkSubscriber(world, subscriber);
    for (const fault of faults) options.say(fault);
    result.faults.push(...faults);
    result.deliveries += subscriber.receiver?.counts.deliveries ?? 0;
  }
  if (subscribers.length === 0) result.faults.push('no export completed');
  const topic = await readTopicFaults(world);
  result.changesInTopic = topic.changes;
  result.faults.push(...topic.faults);
  result.jobs = jobs.length;
  for (const job of jobs) result.faults.push(...jobFaults(job, topic.changesOfJob.get(job.job_id) ?? 0));
  return result;
}

async function subscribe(
  subscriber: Subscriber,
  cleanup: AsyncDisposableStack,
  misbehaves: () => Answer | undefined,
): Promise<void> {
  const receiver = cleanup.use(
    await openReceiver({
      onDelivery({ event }) {
        // A receiver that lies takes the event, and then says it did not.
        const answer = misbehaves();
        if (isChange(event)) noteId(subscriber, event);
        subscriber.replica.apply(event);
        return answer ?? { status: 204 };
      },
    }),
  );
  subscriber.receiver = receiver;
  const key = randomUUID();
  const { secret } = await persistently(() =>
    subscriber.customer.client.call<{ secret: string }>(
      'POST',
      '/webhooks',
      { url: receiver.url, events: ['*'], start: { after_export: subscriber.exportId } },
      { 'idempotency-key': key },
    ),
  );
  receiver.setSecret(secret);
}

/** A receiver that has the event and does not say so, says it too late, or denies it. */
function misbehave({ share, random }: { share: number; random: () => number }): Answer | undefined {
  const roll = random() / share;
  if (roll >= 1) return undefined;
  if (roll < 0.1) return 'hang';
  if (roll < 0.2) return { status: 204, afterMs: DELIVERY_TIMEOUT_MS + 300 };
  return roll < 0.5 ? 'reset' : { status: 500 };
}

/** What is told beside the feed, that an export is complete for one, has no place in it. */
function isChange(event: FeedEvent): boolean {
  return (event as { position: string | null }).position !== null;
}

/** One change, one ID: told by transaction and index, which no retry, restart or re-capture may alter. */
function noteId(subscriber: Subscriber, event: FeedEvent): void {
  const { id, index } = (event as FeedEvent & { transaction: { id: string; index: unknown } }).transaction;
  const change = `${id}/${JSON.stringify(index)}`;
  const known = subscriber.ids.get(change) ?? event.id;
  subscriber.ids.set(change, known === event.id ? event.id : `${known} and ${event.id}`);
}

/** Waits until the subscriber has all there is, then compares it with the source. */
async function checkSubscriber(world: World, subscriber: Subscriber): Promise<string[]> {
  const { customer, exportId, replica } = subscriber;
  let deadlineMs = Date.now() + DRAIN_LIMIT_MS;
  let deliveries = 0;
  for (;;) {
    if (subscriber.receiver === undefined) await pullFeed(subscriber);
    // What was written ends, so that deliveries that go on come to an end too.
    else if (subscriber.receiver.counts.deliveries > deliveries) {
      ({ deliveries } = subscriber.receiver.counts);
      deadlineMs = Date.now() + DRAIN_LIMIT_MS;
    }
    const { differences, differenceCount } = await compareWithSource(
      world.sourceUrl,
      world.catalog,
      customer.sourceId,
      replica,
    );
    if (differenceCount === 0 || Date.now() > deadlineMs) {
      const doubled = [...subscriber.ids.values()].filter((id) => id.includes(' and '));
      const counts = subscriber.receiver?.counts;
      return [
        ...differences,
        ...replica.violations.slice(0, 20),
        ...doubled.map((ids) => `one change under two IDs: ${ids}`),
        ...(counts === undefined || counts.badSignatures + counts.idMismatches === 0
          ? []
          : ['bad signatures or IDs']),
      ].map((fault) => `${exportId}: ${fault}`);
    }
    await delay(500);
  }
}

async function pullFeed(subscriber: Subscriber): Promise<void> {
  for (;;) {
    const from = subscriber.cursor ?? `after_export=${subscriber.exportId}`;
    const text = await persistently(() =>
      subscriber.customer.client.text('GET', `/events?${from}&limit=1000`),
    );
    const page = parseExactJson(text) as { data: FeedEvent[]; has_more: boolean; next_cursor: string };
    for (const event of page.data) {
      noteId(subscriber, event);
      subscriber.replica.apply(event);
    }
    subscriber.cursor = `after=${encodeURIComponent(page.next_cursor)}`;
    if (!page.has_more) return;
  }
}
