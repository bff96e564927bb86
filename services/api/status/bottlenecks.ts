import { BOTTLENECKS, type BottleneckCode } from './bottleneck-codes.ts';
import type { GroupLag } from './consumer-lag.ts';
import type { Status } from './response.ts';

/** Everything that is known, which names what holds work up. */
export type StatusFacts = Omit<Status, 'bottlenecks' | 'at'>;

export interface Bottleneck {
  readonly code: BottleneckCode;
  /** What is measured: a number of things, seconds or bytes, by the code. */
  readonly value: number;
  /** Services or an application; null where the code says it. */
  readonly subject: string | null;
}

/** Those that an installation needs. The api itself responds, and capture is known by the slot. */
const NEEDED = ['extractor', 'writer', 'dispatcher', 'bulk'] as const;

/** An idle feed moves every 10 s, with capture's heartbeat. */
const STILL_SECONDS = 20;

/**
 * Capture tells its state several times a second, with a marker each, of which the last one is always unread. What has
 * gathered in 20 s is the dispatcher's to read; without it, capture has fallen silent.
 */
const STATES_BEHIND = 10;

/** Capture publishes some 44,000 changes a second from a backlog, about 10 MB of WAL: this is five seconds of its work. */
const WAL_BEHIND_BYTES = 64 * 1_024 * 1_024;

/** A dispatcher records some 13,000 changes a second: this is a second of its work. */
const CHANGES_BEHIND = 10_000;

/** A writer takes some 100,000 rows a second or more: this is two seconds of its work. */
const ROWS_BEHIND = 200_000;

/** Exports wait for transactions that began before them; shorter ones are a product's daily life. */
const OLD_TRANSACTION_SECONDS = 10;

/** Claims take a second, when a notification is lost. */
const QUEUED_SECONDS = 5;

/** Rounds of work that wait for each worker: fewer are in work within a few chunks' time. */
const ROUNDS = 4;

/** Attempts that are due are begun within a second. */
const MANY_DUE = 500;

/**
 * Names what holds work up, the cause before what follows from it: a part that is not there, then the stages from the source to
 * the customer, each judged by what waits in front of it. A part that is not known says nothing.
 */
export function findBottlenecks({ source, processes, consumers, queues }: StatusFacts): Bottleneck[] {
  const found: Bottleneck[] = [];
  const add = (code: BottleneckCode, value: number, subject: string | null = null) => {
    found.push({ code, value, subject });
  };
  if (source !== null) {
    const feedAge = source.feed_age_seconds ?? 0;
    const hasRun = source.feed_age_seconds !== null;
    if ((source.exists === false && hasRun) || source.wal_status === 'lost') add('feed_gap', feedAge);
    else if (source.exists === true && source.active === false) add('capture_idle', feedAge);
    else if (hasRun && feedAge >= STILL_SECONDS) {
      add(
        'feed_stalled',
        feedAge,
        lagOf(consumers, '.dispatcher.feed') >= STATES_BEHIND ? 'dispatcher' : 'capture',
      );
    }
    if (source.state === 'refuse') add('source_full', source.retained_bytes ?? 0);
    else if ((source.lag_bytes ?? 0) >= WAL_BEHIND_BYTES && source.active === true) {
      add('capture_behind', source.lag_bytes ?? 0);
    }
  }
  if (processes !== null) {
    const missing = NEEDED.filter(
      (service) => !processes.some((each) => each.service === service && each.state !== 'silent'),
    );
    if (missing.length > 0) add('service_missing', missing.length, missing.join(', '));
  }
  if (consumers === null) add('kafka_silent', 0);
  else {
    const changes = lagOf(consumers, '.dispatcher');
    if (changes >= CHANGES_BEHIND) add('recording_behind', changes);
  }
  if (queues !== null) addQueues(queues, consumers, add);
  const oldest = source?.open_transactions?.[0];
  const waiting = queues?.exports.waiting_for_feed ?? 0;
  if (oldest !== undefined && waiting > 0 && oldest.age_seconds >= OLD_TRANSACTION_SECONDS) {
    add('open_transaction', oldest.age_seconds, oldest.application);
  }
  return found.toSorted((a, b) => BOTTLENECKS.indexOf(a.code) - BOTTLENECKS.indexOf(b.code));
}

type Add = (code: BottleneckCode, value: number, subject?: string | null) => void;

function addQueues(queues: NonNullable<Status['queues']>, consumers: Status['consumers'], add: Add): void {
  const { exports, export_chunks: chunks, bulk, bulk_chunks: items, deliveries, endpoints, outbox } = queues;
  if ((outbox.oldest_seconds ?? 0) >= QUEUED_SECONDS) add('outbox_waits', outbox.waiting);
  const rows = lagOf(consumers, '.writer');
  const isWriterBehind = rows >= ROWS_BEHIND || chunks.unwritten > chunks.waiting + chunks.reading;
  if (exports.extracting > 0 && isWriterBehind) add('writing_behind', rows);
  // A holder keeps a few chunks open in front of its readers. More than that waits for readers.
  else if (chunks.reading > 0 && chunks.waiting >= ROUNDS * chunks.reading)
    add('reading_busy', chunks.waiting);
  if ((exports.oldest_queued_seconds ?? 0) >= QUEUED_SECONDS) {
    const atLimit = exports.queued_by_limit;
    if (atLimit === exports.queued) add('exports_at_limit', atLimit);
    else add('exports_queued', exports.queued - atLimit);
  }
  if (bulk.paused_by_handler > 0) add('bulk_handler_away', bulk.paused_by_handler);
  if (bulk.paused_by_feed > 0) add('bulk_feed_behind', bulk.paused_by_feed);
  if (bulk.paused_by_quota > 0) add('bulk_quota_used', bulk.paused_by_quota);
  if (items.working > 0 && items.waiting >= ROUNDS * items.working) add('bulk_busy', items.waiting);
  if ((bulk.oldest_queued_seconds ?? 0) >= QUEUED_SECONDS && bulk.queued_by_limit > 0) {
    add('bulk_at_limit', bulk.queued_by_limit);
  }
  if (deliveries.due >= MANY_DUE) add('deliveries_due', deliveries.due);
  if (endpoints.failing > 0) add('receivers_failing', endpoints.failing);
}

function lagOf(consumers: readonly GroupLag[] | null, suffix: string): number {
  return consumers?.find(({ group }) => group.endsWith(suffix))?.lag ?? 0;
}
