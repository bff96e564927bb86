import type { BottleneckCode } from './bottleneck-codes.ts';
import type { Bottleneck } from './bottlenecks.ts';

/** What holds work up, as a sentence for the API. Pages have their own in each language. */
export function describeBottleneck({ code, value, subject }: Bottleneck): string {
  return SENTENCES[code](value, subject ?? '');
}

const many = (value: number, one: string, more = `${one}s`) =>
  `${value.toLocaleString('en-US')} ${value === 1 ? one : more}`;
const seconds = (value: number) => many(Math.round(value), 'second');
const megabytes = (value: number) => `${Math.round(value / 1_000_000).toLocaleString('en-US')} MB`;

const SENTENCES: Readonly<Record<BottleneckCode, (value: number, subject: string) => string>> = {
  feed_gap: () =>
    'The replication slot is missing or has lost its WAL: the feed stands still until a gap is accepted.',
  service_missing: (_, service) => `These services have no running process: ${service}.`,
  capture_idle: (age) => `Capture does not read the slot. The feed moved ${seconds(age)} ago.`,
  feed_stalled: (age, service) => `The feed has not moved for ${seconds(age)}: check ${service}.`,
  source_full: (bytes) => `The source keeps ${megabytes(bytes)} of WAL, so new jobs are refused.`,
  kafka_silent: () => 'Kafka does not respond.',
  outbox_waits: (count) => `The API cannot send to Kafka: ${many(count, 'message waits', 'messages wait')}.`,
  open_transaction: (age, application) =>
    `Exports wait for a transaction of ${application === '' ? 'an application' : application} that has been open for ${seconds(age)}.`,
  capture_behind: (bytes) => `Capture is ${megabytes(bytes)} of WAL behind.`,
  recording_behind: (count) =>
    `The dispatcher is behind with recording: ${many(count, 'change waits', 'changes wait')}.`,
  writing_behind: (rows) =>
    `Writers are behind the readers: ${many(rows, 'row waits', 'rows wait')} in Kafka.`,
  reading_busy: (chunks) => `Every extractor reads: ${many(chunks, 'chunk waits', 'chunks wait')}.`,
  exports_at_limit: (count) =>
    `${many(count, 'export waits', 'exports wait')} for the limit of ${count === 1 ? 'its account' : 'their accounts'}.`,
  exports_queued: (count) =>
    `Extractors are busy: ${many(count, 'export waits', 'exports wait')} for its turn.`,
  bulk_at_limit: (count) => `${many(count, 'bulk job waits', 'bulk jobs wait')} for the limit of an account.`,
  bulk_handler_away: (count) =>
    `A handler is unavailable: ${many(count, 'bulk job is paused', 'bulk jobs are paused')}.`,
  bulk_feed_behind: (count) =>
    `The feed is too far behind: ${many(count, 'bulk job is paused', 'bulk jobs are paused')}.`,
  bulk_quota_used: (count) =>
    `A quota is used up: ${many(count, 'bulk job is paused', 'bulk jobs are paused')}.`,
  bulk_busy: (chunks) => `Bulk workers are busy: ${many(chunks, 'chunk waits', 'chunks wait')}.`,
  deliveries_due: (count) => `Dispatchers are behind: ${many(count, 'retry is due', 'retries are due')}.`,
  receivers_failing: (count) => `Receivers fail: ${many(count, 'webhook endpoint')}.`,
};
