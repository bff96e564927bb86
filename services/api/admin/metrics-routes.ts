import { METRICS_CONTENT_TYPE, type Metrics } from '../../../shared/runtime/metrics.ts';
import { defineRoute, type Route } from '../http/route.ts';

export interface MetricsDeps {
  readonly metrics: Pick<Metrics, 'text'>;
}

/** Queue depths tell of all customers, and customers reach this port: so it is the operator's, by his key. */
export function metricsRoutes({ metrics }: MetricsDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/metrics',
      summary: 'Metrics for Prometheus',
      access: 'operator',
      account: 'none',
      answers: { 200: { description: 'Metrics in the text format 0.0.4.', contentType: 'text/plain' } },
      async handle() {
        return { status: 200, headers: { 'content-type': METRICS_CONTENT_TYPE }, body: await metrics.text() };
      },
    }),
  ];
}
