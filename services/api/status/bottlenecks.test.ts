import { expect, test } from 'vitest';
import { BOTTLENECKS, type BottleneckCode } from './bottleneck-codes.ts';
import { findBottlenecks, type StatusFacts } from './bottlenecks.ts';
import { describeBottleneck } from './describe-bottleneck.ts';
import { EXAMPLE_STATUS } from './response.ts';

const { source, queues, consumers } = EXAMPLE_STATUS;
const [group] = consumers ?? [];
if (source === null || queues === null || group === undefined) throw new Error('the example has all parts');

/** Everything runs, and nothing waits. */
const CALM: StatusFacts = {
  source,
  queues: { ...queues, endpoints: { ...queues.endpoints, failing: 0 } },
  consumers,
  held_transactions: [],
  held_xmin_age: 0,
  processes: ['api', 'extractor', 'writer', 'dispatcher', 'bulk'].map((service) => ({
    id: service,
    service,
    version: null,
    host: null,
    pid: null,
    started_at: '',
    seen_at: '',
    state: 'ready',
  })),
};

type Queues = NonNullable<StatusFacts['queues']>;

const withSource = (change: Partial<NonNullable<StatusFacts['source']>>): StatusFacts => ({
  ...CALM,
  source: { ...source, ...change },
});
const withQueues = <Part extends keyof Queues>(part: Part, change: Partial<Queues[Part]>): StatusFacts => ({
  ...CALM,
  queues: { ...(CALM.queues as Queues), [part]: { ...(CALM.queues as Queues)[part], ...change } },
});
const withLag = (name: string, lag: number, from: StatusFacts = CALM): StatusFacts => ({
  ...from,
  consumers: [{ ...group, group: name, lag }],
});
const open = { pid: 7, age_seconds: 90, application: 'nightly import', state: 'active' };

const CASES: readonly (readonly [string, StatusFacts, BottleneckCode | undefined, string])[] = [
  ['nothing waits', CALM, undefined, ''],
  [
    'nothing is known',
    {
      source: null,
      processes: null,
      consumers: [],
      queues: null,
      held_transactions: null,
      held_xmin_age: null,
    },
    undefined,
    '',
  ],
  ['the feed never ran', withSource({ exists: false, feed_age_seconds: null }), undefined, ''],
  ['the slot is gone', withSource({ exists: false }), 'feed_gap', 'missing or has lost its WAL'],
  ['the slot is lost', withSource({ wal_status: 'lost', active: false }), 'feed_gap', ''],
  [
    'nobody reads the slot',
    withSource({ active: false, feed_age_seconds: 60 }),
    'capture_idle',
    '60 seconds ago',
  ],
  ['an idle feed', withSource({ feed_age_seconds: 11 }), undefined, ''],
  ['a feed that stands', withSource({ feed_age_seconds: 40 }), 'feed_stalled', 'check capture'],
  [
    'a feed whose last marker is unread, as always',
    withLag('tandem.dispatcher.feed', 2, withSource({ feed_age_seconds: 40 })),
    'feed_stalled',
    'check capture',
  ],
  [
    'a feed that nobody mirrors',
    withLag('tandem.dispatcher.feed', 30, withSource({ feed_age_seconds: 40 })),
    'feed_stalled',
    'check dispatcher',
  ],
  [
    'a full source',
    withSource({ state: 'refuse', retained_bytes: 9e9, lag_bytes: 9e9 }),
    'source_full',
    '9,000 MB',
  ],
  ['much WAL to read', withSource({ lag_bytes: 100e6 }), 'capture_behind', '100 MB'],
  ['some WAL to read', withSource({ lag_bytes: 60e6 }), undefined, ''],
  [
    'no extractor',
    { ...CALM, processes: (CALM.processes ?? []).filter(({ service }) => service !== 'extractor') },
    'service_missing',
    'extractor',
  ],
  [
    'nothing but the api',
    { ...CALM, processes: (CALM.processes ?? []).filter(({ service }) => service === 'api') },
    'service_missing',
    'extractor, writer, dispatcher, bulk.',
  ],
  [
    'a writer that died',
    {
      ...CALM,
      processes: (CALM.processes ?? []).map((each) =>
        each.service === 'writer' ? { ...each, state: 'silent' as const } : each,
      ),
    },
    'service_missing',
    'writer',
  ],
  ['no Kafka', { ...CALM, consumers: null }, 'kafka_silent', 'Kafka'],
  [
    'a relay that cannot send',
    withQueues('outbox', { waiting: 7, oldest_seconds: 9 }),
    'outbox_waits',
    '7 messages',
  ],
  ['a relay that sends', withQueues('outbox', { waiting: 7, oldest_seconds: 1 }), undefined, ''],
  ['an old transaction, and nobody waits', withSource({ open_transactions: [open] }), undefined, ''],
  [
    'an old transaction that an export waits for',
    { ...withQueues('exports', { waiting_for_feed: 1 }), source: { ...source, open_transactions: [open] } },
    'open_transaction',
    'nightly import that has been open for 90 seconds',
  ],
  ['changes to record', withLag('tandem.dispatcher', 50_000), 'recording_behind', '50,000 changes'],
  ['rows to write', withLag('tandem.writer', 500_000), 'writing_behind', '500,000 rows'],
  [
    'chunks that no writer has written',
    withQueues('export_chunks', { unwritten: 20 }),
    'writing_behind',
    'Writers',
  ],
  [
    'chunks that nobody reads yet',
    withQueues('export_chunks', { waiting: 8, reading: 2 }),
    'reading_busy',
    '8 chunks',
  ],
  [
    'an account at its limit',
    withQueues('exports', { queued: 1, queued_by_limit: 1, oldest_queued_seconds: 60 }),
    'exports_at_limit',
    '1 export waits for the limit of its account',
  ],
  [
    'busy extractors',
    withQueues('exports', { queued: 3, queued_by_limit: 1, oldest_queued_seconds: 60 }),
    'exports_queued',
    '2 exports',
  ],
  [
    'an export that has just come',
    withQueues('exports', { queued: 3, oldest_queued_seconds: 1 }),
    undefined,
    '',
  ],
  [
    'bulk jobs at a limit',
    withQueues('bulk', { queued: 2, queued_by_limit: 2, oldest_queued_seconds: 60 }),
    'bulk_at_limit',
    '2 bulk jobs',
  ],
  ['a handler that is away', withQueues('bulk', { paused_by_handler: 1 }), 'bulk_handler_away', '1 bulk job'],
  ['bulk jobs that spare the feed', withQueues('bulk', { paused_by_feed: 1 }), 'bulk_feed_behind', 'feed'],
  [
    'a quota that is used',
    withQueues('bulk', { paused_by_quota: 2 }),
    'bulk_quota_used',
    '2 bulk jobs are paused',
  ],
  ['busy bulk workers', withQueues('bulk_chunks', { waiting: 16, working: 4 }), 'bulk_busy', '16 chunks'],
  ['retries that are due', withQueues('deliveries', { due: 900 }), 'deliveries_due', '900 retries'],
  [
    'a receiver that fails',
    withQueues('endpoints', { failing: 1 }),
    'receivers_failing',
    '1 webhook endpoint.',
  ],
];

test.each(CASES)('%s', (_name, facts, code, text) => {
  const [first, ...rest] = findBottlenecks(facts);
  expect(first?.code).toBe(code);
  expect(rest).toEqual([]);
  if (first !== undefined) expect(describeBottleneck(first)).toContain(text);
});

test('every code has its case, and the cause comes before what follows from it', () => {
  const codes = CASES.flatMap(([, , code]) => code ?? []);
  expect(new Set(codes)).toEqual(new Set(BOTTLENECKS));
  const all = findBottlenecks({
    ...CALM,
    source: { ...source, active: false, feed_age_seconds: 60 },
    queues: withQueues('endpoints', { failing: 2 }).queues,
    consumers: [{ ...group, group: 'tandem.writer', lag: 500_000 }],
  });
  expect(all.map(({ code }) => code)).toEqual(['capture_idle', 'writing_behind', 'receivers_failing']);
});
