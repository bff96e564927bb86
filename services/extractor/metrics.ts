import { defineMetrics, type Metrics } from '../../shared/runtime/metrics.ts';
import type { ReplicaLag } from './source/watch-replicas.ts';

export const EXTRACTOR_METRICS = defineMetrics({
  rows: {
    name: 'tandem_rows_extracted_total',
    type: 'counter',
    help: 'Rows read from the source into the topics.',
    normal: 'grows while exports are extracting',
  },
  chunkDuration: {
    name: 'tandem_chunk_duration_seconds',
    type: 'histogram',
    help: 'Time to read one batch of chunks from the source into Kafka. Failed attempts are log lines.',
    normal: 'p99 below 30 s',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  },
  snapshots: {
    name: 'tandem_snapshots_held',
    type: 'gauge',
    help: 'Snapshots of the source that this process holds for exports.',
    normal: 'at most EXTRACTOR_MAX_EXPORTS',
  },
  snapshotAge: {
    name: 'tandem_snapshot_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest snapshot that this process holds, 0 without one. VACUUM keeps what is younger.',
    normal: 'below 10 min',
  },
  replicaLag: {
    name: 'tandem_replica_lag_seconds',
    type: 'gauge',
    help: 'Time since a replica of SOURCE_READ_URL was level with the primary. Grows while it does not respond.',
    normal: 'below 10 s',
    labels: { replica: 'number of the URL in SOURCE_READ_URL, from 1' },
  },
});

export interface ExtractorMetrics {
  /** Counts a batch of chunks that was read. */
  extracted(rows: number, durationMs: number): void;
  /** Counts a held snapshot. @returns a function to call when it is released; further calls change nothing */
  holdSnapshot(): () => void;
  /** Adds the lags of the replicas as a gauge. */
  watchReplicas(lag: ReplicaLag): void;
}

export function addExtractorMetrics(metrics: Metrics, monotonicMs: () => number): ExtractorMetrics {
  const rowsRead = metrics.counter(EXTRACTOR_METRICS.rows);
  const duration = metrics.histogram(EXTRACTOR_METRICS.chunkDuration);
  /** When each was taken, the oldest first. */
  const held = new Map<symbol, number>();
  metrics.gauge(EXTRACTOR_METRICS.snapshots, () => [{ value: held.size }]);
  metrics.gauge(EXTRACTOR_METRICS.snapshotAge, () => {
    const [oldest] = held.values();
    return [{ value: oldest === undefined ? 0 : (monotonicMs() - oldest) / 1_000 }];
  });
  return {
    extracted(rows, durationMs) {
      rowsRead.add(rows);
      duration.observe(durationMs / 1_000);
    },
    holdSnapshot() {
      const id = Symbol('snapshot');
      held.set(id, monotonicMs());
      return () => held.delete(id);
    },
    watchReplicas(lag) {
      metrics.gauge(EXTRACTOR_METRICS.replicaLag, () =>
        lag.seconds().map((value, index) => ({ value, labels: { replica: String(index + 1) } })),
      );
    },
  };
}
