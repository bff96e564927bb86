import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { METRICS_CONTENT_TYPE, type Metrics, type Sample } from '../../../shared/runtime/metrics.ts';
import { defineRoute, type Route } from '../http/route.ts';

export interface MetricsDeps {
  readonly metrics: Pick<Metrics, 'text'>;
}

/** Queue depths cover all customers, and customers reach this port. So the route needs the operator's key. */
export function metricsRoutes({ metrics }: MetricsDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/metrics',
      operationId: 'getMetrics',
      tag: 'operator',
      summary: 'Metrics for Prometheus',
      description: 'Of this process, and the depths of all queues.',
      access: 'operator',
      account: 'none',
      responses: { 200: { description: 'Metrics in the text format 0.0.4.', types: ['text/plain'] } },
      async handle() {
        return { status: 200, headers: { 'content-type': METRICS_CONTENT_TYPE }, body: await metrics.text() };
      },
    }),
  ];
}

/** One query serves all metrics of a scrape, and scrapes at the same time. */
const KEPT_MS = 5_000;

/** Counts use indexes or small tables. Waiting and dead deliveries, whose number grows while receivers are down, have one each. */
const READ_DEPTHS = `
select 'exports' as queue, status as state, count(*)::float8 as depth from exports
  where status in ('pending', 'running', 'cancelling') group by status
union all
select 'bulk', status, count(*)::float8 from bulk_jobs where status in ('pending', 'running', 'paused') group by status
union all
select 'deliveries', 'waiting', count(*)::float8 from webhook_parked where state = 'waiting'
union all
select 'deliveries', 'dead', count(*)::float8 from webhook_parked where state = 'dead'
union all
select 'outbox', 'waiting', count(*)::float8 from outbox
union all
select 'endpoints', status, count(*)::float8 from webhooks group by status
union all
select 'feed_age', '', greatest(0, extract(epoch from clock_timestamp() - updated_at))::float8 from feed_state`;

interface Depth {
  readonly queue: string;
  readonly state: string;
  readonly depth: number;
}

/** States that are reported as 0 when empty, so that an alert has a series to evaluate. */
const STATES: Readonly<Record<string, readonly string[]>> = {
  exports: ['pending', 'running'],
  bulk: ['pending', 'running', 'paused'],
  deliveries: ['waiting', 'dead'],
  outbox: ['waiting'],
  endpoints: ['active', 'paused', 'disabled'],
};

/**
 * Adds the queue depths of the control store, which are the same in every api process. They are absent while
 * the control store does not respond.
 */
export function addQueueMetrics(metrics: Metrics, db: Queryable, now: () => number): void {
  let readAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<readonly Depth[]> = Promise.resolve([]);
  const read = () => {
    if (now() - readAtMs >= KEPT_MS) {
      readAtMs = now();
      reading = db.query<Depth>(READ_DEPTHS).then(({ rows }) => rows);
    }
    return reading;
  };
  const depths = (queue: string) => async (): Promise<Sample[]> => {
    const rows = (await read()).filter((row) => row.queue === queue);
    const missing = (STATES[queue] ?? []).filter((state) => !rows.some((row) => row.state === state));
    return [...rows, ...missing.map((state) => ({ state, depth: 0 }))].map(({ state, depth }) => ({
      value: depth,
      labels: { state },
    }));
  };
  metrics.gauge('tandem_exports', 'Exports that are not finished, by status.', depths('exports'), ['state']);
  metrics.gauge('tandem_bulk_operations', 'Bulk jobs that are not finished, by status.', depths('bulk'), [
    'state',
  ]);
  metrics.gauge(
    'tandem_deliveries_parked',
    'Deliveries that failed: waiting for the next attempt, or given up (dead).',
    depths('deliveries'),
    ['state'],
  );
  metrics.gauge('tandem_outbox', 'Messages waiting for Kafka.', depths('outbox'), ['state']);
  metrics.gauge('tandem_endpoints', 'Webhook endpoints, by status.', depths('endpoints'), ['state']);
  metrics.gauge(
    'tandem_feed_age_seconds',
    'Time since the feed last moved. About ten seconds on an idle feed.',
    async () =>
      (await read()).filter(({ queue }) => queue === 'feed_age').map(({ depth }) => ({ value: depth })),
  );
}
