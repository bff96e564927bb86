import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { METRICS_CONTENT_TYPE, type Metrics } from './metrics.ts';

/** What a probe gets. `live` turns false when a worker has failed, `ready` true once every worker has reached its loop. */
export interface Health {
  live: boolean;
  ready: boolean;
  /** What `/readyz` of a service with an HTTP surface of its own adds to `ready`. */
  isServing?: () => Promise<boolean>;
  /** What the process reports, beside its probes. */
  readonly metrics: Metrics;
}

/**
 * Serves `/healthz`, `/readyz` and `/metrics` for a service that has no HTTP surface of its own.
 *
 * @returns the bound port and a closer; port 0 takes a free one.
 */
export async function openHealthServer(
  health: Readonly<Health>,
  port: number,
  host: string,
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    if (request.url === '/metrics') {
      response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE }).end(await health.metrics.text());
      return;
    }
    const ok =
      request.url === '/healthz'
        ? health.live
        : request.url === '/readyz'
          ? health.ready && health.live
          : undefined;
    response.writeHead(ok === undefined ? 404 : ok ? 200 : 503, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ status: ok === undefined ? 'not_found' : ok ? 'ok' : 'unavailable' }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
