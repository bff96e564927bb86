import { defineMetrics, type Metrics } from '../../shared/runtime/metrics.ts';
import type { SetAside } from './aside/set-asides.ts';

export const CAPTURE_METRICS = defineMetrics({
  streaming: {
    name: 'tandem_capture_streaming',
    type: 'gauge',
    help: 'Whether this process reads the slot: 1, or 0 on standby and between sessions.',
    normal: '1 in exactly one process',
  },
  sessions: {
    name: 'tandem_capture_sessions_total',
    type: 'counter',
    help: 'Sessions on the slot that were begun.',
    normal: 'one for each start of the active process',
  },
  changes: {
    name: 'tandem_changes_published_total',
    type: 'counter',
    help: 'Changes of rows published in Kafka.',
    normal: 'follows the writes on the source',
  },
  transactions: {
    name: 'tandem_transactions_published_total',
    type: 'counter',
    help: 'Transactions of the source that the feed has passed, also those without a published change.',
    normal: 'follows the commits on the source',
  },
  duration: {
    name: 'tandem_publish_duration_seconds',
    type: 'histogram',
    help: 'Time of one Kafka transaction.',
    normal: 'p99 below 0.25 s',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
  },
  delay: {
    name: 'tandem_publish_delay_seconds',
    type: 'histogram',
    help: 'Time from a commit in the source to its commit in Kafka, of the oldest one of each Kafka transaction.',
    normal: 'p99 below 1 s',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600],
  },
  pathsRead: {
    name: 'tandem_account_paths_read_total',
    type: 'counter',
    help: 'Parents, and references to them, that were read from the source when their accounts began to be known.',
    normal: '0 but at the first start, and after a change of the paths',
  },
  lookups: {
    name: 'tandem_account_lookups_total',
    type: 'counter',
    help: 'Lookups of the account of a record by its parents.',
    normal: 'follows the changes of such records',
  },
  lookupsRead: {
    name: 'tandem_account_lookups_read_total',
    type: 'counter',
    help: 'Records whose parents were read from the control store for that.',
    normal: 'a small share of the lookups',
  },
  lookupsUnresolved: {
    name: 'tandem_account_lookups_unresolved_total',
    type: 'counter',
    help: "Lookups that found no account: the change is nobody's.",
    normal: 'follows the records without a parent',
  },
  setAside: {
    name: 'tandem_resource_set_aside',
    type: 'gauge',
    help: 'Whether the changes of the resource are skipped: 1 or 0. 0 on standby and between sessions.',
    normal: '0',
    labels: { resource: 'the resources of the catalog' },
  },
});

/** A Kafka transaction that is committed. */
export interface PublishedBatch {
  readonly changeCount: number;
  readonly transactionCount: number;
  readonly durationMs: number;
  /** Epoch milliseconds of the oldest commit in it; undefined if no transaction with changes ended in it. */
  readonly oldestCommitMs: number | undefined;
  /** Totals of the session; undefined if no record has its parent's account. */
  readonly lookups?: Readonly<Record<'lookups' | 'reads' | 'unresolved', number>> | undefined;
}

type ListSetAsides = () => readonly Pick<SetAside, 'resource'>[];

const NONE: ListSetAsides = () => [];

export interface CaptureMetrics {
  /** A session reads the slot. `ended` is called when it stops. */
  streaming(): { ended(): void };
  /**
   * Sets how to list the resources that the session has set aside. Cleared when the session ends, because another
   * instance may run the next one.
   */
  listSetAsides(list: ListSetAsides): void;
  published(batch: PublishedBatch): void;
  /** Counts parents or references that were read from the source. */
  pathsRead(count: number): void;
}

export function addCaptureMetrics(
  metrics: Metrics,
  {
    resources,
    now,
  }: {
    readonly resources: readonly string[];
    readonly now: () => number;
  },
): CaptureMetrics {
  let sessionCount = 0;
  let setAsides: ListSetAsides = NONE;
  metrics.gauge(CAPTURE_METRICS.streaming, () => [{ value: sessionCount > 0 ? 1 : 0 }]);
  metrics.gauge(CAPTURE_METRICS.setAside, () =>
    resources.map((resource) => ({
      value: setAsides().some((aside) => aside.resource === resource) ? 1 : 0,
      labels: { resource },
    })),
  );
  const sessions = metrics.counter(CAPTURE_METRICS.sessions);
  const changes = metrics.counter(CAPTURE_METRICS.changes);
  const transactions = metrics.counter(CAPTURE_METRICS.transactions);
  const duration = metrics.histogram(CAPTURE_METRICS.duration);
  const delay = metrics.histogram(CAPTURE_METRICS.delay);
  const pathsRead = metrics.counter(CAPTURE_METRICS.pathsRead);
  const lookups = {
    lookups: metrics.counter(CAPTURE_METRICS.lookups),
    reads: metrics.counter(CAPTURE_METRICS.lookupsRead),
    unresolved: metrics.counter(CAPTURE_METRICS.lookupsUnresolved),
  };
  const counted = { lookups: 0, reads: 0, unresolved: 0 };
  return {
    pathsRead: (count) => pathsRead.add(count),
    listSetAsides(list) {
      setAsides = list;
    },
    streaming() {
      Object.assign(counted, { lookups: 0, reads: 0, unresolved: 0 });
      sessionCount += 1;
      sessions.add(1);
      return {
        ended: () => {
          sessionCount -= 1;
          setAsides = NONE;
        },
      };
    },
    published({ changeCount, transactionCount, durationMs, oldestCommitMs, lookups: soFar = counted }) {
      changes.add(changeCount);
      transactions.add(transactionCount);
      duration.observe(durationMs / 1_000);
      for (const name of ['lookups', 'reads', 'unresolved'] as const) {
        lookups[name].add(soFar[name] - counted[name]);
        counted[name] = soFar[name];
      }
      // The two times usually come from the clocks of two machines.
      if (oldestCommitMs !== undefined) delay.observe(Math.max(0, now() - oldestCommitMs) / 1_000);
    },
  };
}
