import type { Middleware } from 'koa';
import { defineMetrics, type Metrics, type Sample } from '../../shared/runtime/metrics.ts';
import { BOTTLENECKS } from './status/bottleneck-codes.ts';
import type { Status } from './status/response.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'other'] as const;

const ROUTES = 'the routes of the API and of its pages, and `unmatched`';

export const HTTP_METRICS = defineMetrics({
  requests: {
    name: 'tandem_http_requests_total',
    type: 'counter',
    help: 'Responses, by method, route and status.',
    normal: 'no 5xx; 4xx follow the clients',
    labels: { method: METHODS.join(', '), route: ROUTES, status: 'the statuses that the API sends' },
  },
  duration: {
    name: 'tandem_http_request_duration_seconds',
    type: 'histogram',
    help: 'Time until a response begins, by method and route.',
    normal: 'p99 below 1 s; event streams last as long as they are open',
    labels: { method: METHODS.join(', '), route: ROUTES },
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  running: {
    name: 'tandem_http_requests_in_progress',
    type: 'gauge',
    help: 'Requests whose response has not begun.',
    normal: 'a few',
  },
});

const CONSUMERS = ['recorder', 'feed_mirror', 'writer', 'extractor'] as const;

/** All from one reading of the status, which the operator's pages show too. */
export const STATUS_METRICS = defineMetrics({
  dependency: {
    name: 'tandem_dependency_up',
    type: 'gauge',
    help: 'Whether the API gets a response from a server that all services need: 1 or 0.',
    normal: '1',
    labels: { dependency: ['control_store', 'source', 'kafka'] },
  },
  bottleneck: {
    name: 'tandem_bottleneck',
    type: 'gauge',
    help: 'Whether this holds work up: 1 or 0. The runbook has an entry for each code.',
    normal: '0; 1 for minutes under load',
    labels: { code: BOTTLENECKS },
  },
  processes: {
    name: 'tandem_processes',
    type: 'gauge',
    help: 'Processes by service and state. silent: not heard of for 20 seconds.',
    normal: 'as many ready as were started',
    labels: {
      service: ['api', 'bulk', 'capture', 'dispatcher', 'extractor', 'writer'],
      state: ['ready', 'starting', 'silent'],
    },
  },
  feedAge: {
    name: 'tandem_feed_age_seconds',
    type: 'gauge',
    help: 'Time since the feed last moved. Absent before the first start of capture.',
    normal: 'below 1 s, up to 10 s on an idle source',
  },
  feedStalled: {
    name: 'tandem_feed_stalled',
    type: 'gauge',
    help: 'Whether accounts were notified that the feed stands still: 1 or 0. As in /readyz.',
    normal: '0',
  },
  transactionAge: {
    name: 'tandem_source_transaction_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest open transaction on the source, of Tandem or of other programs, 0 without one.',
    normal: 'tandem: as long as an export reads; other: below 60 s',
    labels: { owner: ['tandem', 'other'] },
  },
  xminAge: {
    name: 'tandem_source_xmin_age_transactions',
    type: 'gauge',
    help: 'Transactions of the source since the oldest snapshot that Tandem holds there, 0 without one.',
    normal: 'small while exports are chunked; else grows as long as one reads',
  },
  consumerLag: {
    name: 'tandem_consumer_lag',
    type: 'gauge',
    help: 'Kafka records that a consumer group has not read. Markers of transactions count too.',
    normal: 'recorder below 10,000, writer below 200,000',
    labels: { consumer: CONSUMERS },
  },
  consumerMembers: {
    name: 'tandem_consumer_members',
    type: 'gauge',
    help: 'Members of a consumer group.',
    normal: 'at least 1',
    labels: { consumer: CONSUMERS },
  },
  exports: {
    name: 'tandem_exports',
    type: 'gauge',
    help: 'Exports that have not ended, by state.',
    normal: 'queued at 0 for most of the time',
    labels: { state: ['queued', 'waiting_for_feed', 'extracting', 'assembling', 'paused'] },
  },
  exportsAtLimit: {
    name: 'tandem_exports_at_limit',
    type: 'gauge',
    help: 'Queued exports whose account runs as many as it may.',
    normal: '0, or as customers queue them',
  },
  exportQueueAge: {
    name: 'tandem_export_queue_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest queued export, 0 without one.',
    normal: 'below 5 s',
  },
  exportChunks: {
    name: 'tandem_export_chunks',
    type: 'gauge',
    help: 'Chunks of running exports, by state. unwritten: read, and not in a file yet.',
    normal: 'waiting below four times reading',
    labels: { state: ['waiting', 'reading', 'unwritten'] },
  },
  bulkJobs: {
    name: 'tandem_bulk_operations',
    type: 'gauge',
    help: 'Bulk jobs that have not ended, by state.',
    normal: 'paused_by_feed and paused_by_handler at 0',
    labels: {
      state: ['queued', 'running', 'paused', 'paused_by_quota', 'paused_by_handler', 'paused_by_feed'],
    },
  },
  bulkQueueAge: {
    name: 'tandem_bulk_queue_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest queued bulk job, 0 without one.',
    normal: 'below 5 s, more at the limit of an account',
  },
  bulkChunks: {
    name: 'tandem_bulk_chunks',
    type: 'gauge',
    help: 'Chunks of running bulk jobs, by state.',
    normal: 'waiting falls',
    labels: { state: ['waiting', 'working'] },
  },
  endpoints: {
    name: 'tandem_endpoints',
    type: 'gauge',
    help: 'Webhook endpoints, by state.',
    normal: 'disabled grows with dead receivers',
    labels: { state: ['active', 'paused', 'disabled'] },
  },
  endpointsFailing: {
    name: 'tandem_endpoints_failing',
    type: 'gauge',
    help: 'Active webhook endpoints whose last deliveries failed.',
    normal: 'a small share of the active ones',
  },
  deliveries: {
    name: 'tandem_deliveries_parked',
    type: 'gauge',
    help: 'Deliveries that failed. waiting: for another attempt; dead: given up.',
    normal: 'waiting rises while receivers are down and falls again',
    labels: { state: ['waiting', 'dead'] },
  },
  deliveriesDue: {
    name: 'tandem_deliveries_due',
    type: 'gauge',
    help: 'Deliveries whose next attempt is due.',
    normal: 'below 500',
  },
  outbox: {
    name: 'tandem_outbox',
    type: 'gauge',
    help: 'Messages of the API that wait for Kafka.',
    normal: '0, above it for moments',
    labels: { state: ['waiting'] },
  },
  outboxAge: {
    name: 'tandem_outbox_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest message of the outbox, 0 without one.',
    normal: 'below 1 s',
  },
});

/** Begins to measure a request. To be called with its response, or when there will be none. */
export type BeginRequest = () => (response: {
  readonly method: string;
  /** Undefined: none of the routes. */
  readonly route: string | undefined;
  readonly status: number;
}) => void;

/** Counts responses and measures how long they take to begin. Probes too: they say how the API feels to others. */
export function createRequestMeter(metrics: Metrics): BeginRequest {
  const requests = metrics.counter(HTTP_METRICS.requests);
  const duration = metrics.histogram(HTTP_METRICS.duration);
  let running = 0;
  metrics.gauge(HTTP_METRICS.running, () => [{ value: running }]);
  return () => {
    const startedAtMs = performance.now();
    running += 1;
    return ({ method: asked, route = 'unmatched', status }) => {
      running -= 1;
      const method = METHODS.find((known) => known === asked) ?? 'other';
      requests.add(1, { method, route, status: String(status) });
      duration.observe((performance.now() - startedAtMs) / 1_000, { method, route });
    };
  };
}

export function measureRequests(begin: BeginRequest): Middleware {
  return async (ctx, next) => {
    const end = begin();
    try {
      await next();
    } finally {
      const route = typeof ctx.state.route === 'string' ? ctx.state.route : undefined;
      end({ method: ctx.method, route, status: ctx.res.statusCode });
    }
  };
}

/** Adds what the operator's status shows. `read` keeps its reading for all who ask. A part that is not known is absent. */
export function addStatusMetrics(metrics: Metrics, read: () => Promise<Status>): void {
  type Spec = (typeof STATUS_METRICS)[keyof typeof STATUS_METRICS];
  const add = (spec: Spec, toSamples: (status: Status) => readonly Sample[]) =>
    metrics.gauge(spec, async () => toSamples(await read()));
  const addQueues = (spec: Spec, toSamples: (queues: NonNullable<Status['queues']>) => readonly Sample[]) =>
    add(spec, ({ queues }) => (queues === null ? [] : toSamples(queues)));
  const addByState = (
    spec: Spec & { readonly labels: { readonly state: readonly string[] } },
    counts: (queues: NonNullable<Status['queues']>) => Readonly<Record<string, number | null>>,
  ) =>
    addQueues(spec, (queues) => {
      const found = counts(queues);
      return spec.labels.state.map((state) => ({ value: found[state] ?? 0, labels: { state } }));
    });

  add(STATUS_METRICS.dependency, ({ queues, source, consumers }) => {
    const up = {
      control_store: queues !== null,
      source: source !== null && source.state !== 'unknown',
      kafka: consumers !== null,
    };
    return Object.entries(up).map(([dependency, isUp]) => ({ value: isUp ? 1 : 0, labels: { dependency } }));
  });
  add(STATUS_METRICS.bottleneck, ({ bottlenecks }) =>
    BOTTLENECKS.map((code) => ({
      value: bottlenecks.some((each) => each.code === code) ? 1 : 0,
      labels: { code },
    })),
  );
  add(STATUS_METRICS.processes, ({ processes }) => {
    if (processes === null) return [];
    const { service: services, state: states } = STATUS_METRICS.processes.labels;
    return services.flatMap((service) =>
      states.map((state) => ({
        value: processes.filter((each) => each.service === service && each.state === state).length,
        labels: { service, state },
      })),
    );
  });
  add(STATUS_METRICS.feedAge, ({ source }) => known(source?.feed_age_seconds));
  add(STATUS_METRICS.feedStalled, ({ source }) =>
    source === null ? [] : [{ value: source.stalled === null ? 0 : 1 }],
  );
  add(STATUS_METRICS.transactionAge, ({ source, held_transactions: held }) => [
    ...ageOf('tandem', held),
    ...ageOf('other', source?.open_transactions ?? null),
  ]);
  add(STATUS_METRICS.xminAge, ({ held_xmin_age: age }) => known(age));
  add(STATUS_METRICS.consumerLag, ({ consumers }) => byConsumer(consumers, ({ lag }) => lag));
  add(STATUS_METRICS.consumerMembers, ({ consumers }) => byConsumer(consumers, ({ members }) => members));
  addByState(STATUS_METRICS.exports, ({ exports }) => ({ ...exports }));
  addQueues(STATUS_METRICS.exportsAtLimit, ({ exports }) => [{ value: exports.queued_by_limit }]);
  addQueues(STATUS_METRICS.exportQueueAge, ({ exports }) => [{ value: exports.oldest_queued_seconds ?? 0 }]);
  addByState(STATUS_METRICS.exportChunks, ({ export_chunks: chunks }) => ({ ...chunks }));
  addByState(STATUS_METRICS.bulkJobs, ({ bulk }) => ({ ...bulk }));
  addQueues(STATUS_METRICS.bulkQueueAge, ({ bulk }) => [{ value: bulk.oldest_queued_seconds ?? 0 }]);
  addByState(STATUS_METRICS.bulkChunks, ({ bulk_chunks: chunks }) => ({ ...chunks }));
  addByState(STATUS_METRICS.endpoints, ({ endpoints }) => ({ ...endpoints }));
  addQueues(STATUS_METRICS.endpointsFailing, ({ endpoints }) => [{ value: endpoints.failing }]);
  addByState(STATUS_METRICS.deliveries, ({ deliveries: { retrying, dead } }) => ({
    waiting: retrying,
    dead,
  }));
  addQueues(STATUS_METRICS.deliveriesDue, ({ deliveries }) => [{ value: deliveries.due }]);
  addByState(STATUS_METRICS.outbox, ({ outbox: { waiting } }) => ({ waiting }));
  addQueues(STATUS_METRICS.outboxAge, ({ outbox }) => [{ value: outbox.oldest_seconds ?? 0 }]);
}

const known = (value: number | null | undefined): Sample[] => (value == null ? [] : [{ value }]);

function ageOf(owner: string, open: readonly { readonly age_seconds: number }[] | null): Sample[] {
  if (open === null) return [];
  const ages = open.map(({ age_seconds: age }) => age);
  return [{ value: Math.max(0, ...ages), labels: { owner } }];
}

type Groups = Status['consumers'];

/** Groups are called `<prefix>.dispatcher.feed`: a label says what a group does, and is the same under every prefix. */
function byConsumer(groups: Groups, read: (group: NonNullable<Groups>[number]) => number): Sample[] {
  const nameOf = (group: string, service: string) =>
    service !== 'dispatcher' ? service : group.endsWith('.feed') ? 'feed_mirror' : 'recorder';
  return (groups ?? []).map((group) => ({
    value: read(group),
    labels: { consumer: nameOf(group.group, group.service) },
  }));
}
