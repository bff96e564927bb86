import type { Pool } from 'pg';
import { defineMetrics, type Metrics } from '../runtime/metrics.ts';

export const POOL_METRICS = defineMetrics({
  connections: {
    name: 'tandem_pool_connections',
    type: 'gauge',
    help: 'Connections of a pool by state. waiting: requests that wait for one.',
    normal: 'waiting at 0, above it for moments',
    labels: {
      pool: ['control', 'control_reserved', 'control_lease', 'source', 'source_bulk'],
      state: ['busy', 'idle', 'waiting'],
    },
  },
});

export type PoolName = (typeof POOL_METRICS.connections.labels.pool)[number];

/** The pools of each process, by its metrics. A pool that is opened again takes the place of the one before. */
const watched = new WeakMap<Metrics, Map<PoolName, Pool>>();

/** Adds a pool to the metrics of its process. Reading it costs no query. */
export function watchPool(metrics: Metrics, name: PoolName, pool: Pool): void {
  const known = watched.get(metrics);
  if (known !== undefined) {
    known.set(name, pool);
    return;
  }
  const pools = new Map([[name, pool]]);
  watched.set(metrics, pools);
  metrics.gauge(POOL_METRICS.connections, () =>
    [...pools].flatMap(([of, { totalCount, idleCount, waitingCount }]) => [
      { value: totalCount - idleCount, labels: { pool: of, state: 'busy' } },
      { value: idleCount, labels: { pool: of, state: 'idle' } },
      { value: waitingCount, labels: { pool: of, state: 'waiting' } },
    ]),
  );
}
