import { METRICS_CONTENT_TYPE, type Metrics } from '../../../shared/runtime/metrics.ts';
import { defineRoute, type Route } from '../http/route.ts';

export interface MetricsDeps {
  readonly metrics: Metrics;
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
