import type { AddedResults } from '../../shared/control/bulk/report-chunk.ts';
import { defineMetrics, type Metrics } from '../../shared/runtime/metrics.ts';
import { CHUNK_OUTCOMES, type ChunkOutcome } from './work/chunk-outcome.ts';

export const BULK_METRICS = defineMetrics({
  pace: {
    name: 'tandem_bulk_pace',
    type: 'gauge',
    help: 'Share of their time that workers work: less than 1 while the source is under pressure or the feed behind.',
    normal: '1; 0.06 at the least',
  },
  items: {
    name: 'tandem_bulk_items_total',
    type: 'counter',
    help: 'Items of bulk jobs that are done, by result.',
    normal: 'failed below 5 %',
    labels: { result: ['succeeded', 'failed', 'skipped'] },
  },
  attempts: {
    name: 'tandem_bulk_chunk_attempts_total',
    type: 'counter',
    help: 'Attempts at chunks of bulk jobs, by outcome.',
    normal: 'failed and lost at 0',
    labels: { outcome: [...CHUNK_OUTCOMES, 'failed'] },
  },
  chunkDuration: {
    name: 'tandem_bulk_chunk_duration_seconds',
    type: 'histogram',
    help: 'Time of one attempt at a chunk.',
    normal: 'p99 below 5 s; handlers may take longer',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300],
  },
  handlerDuration: {
    name: 'tandem_bulk_handler_duration_seconds',
    type: 'histogram',
    help: 'Time of one request to a handler, by result.',
    normal: 'p99 below the timeout of the operation; failed rare',
    labels: { result: ['succeeded', 'failed', 'stopped'] },
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60],
  },
  jobs: {
    name: 'tandem_bulk_jobs_ended_total',
    type: 'counter',
    help: 'Bulk jobs that this process ended, by status.',
    normal: 'failed at 0',
    labels: { status: ['completed', 'failed', 'cancelled'] },
  },
});

export interface BulkMetrics {
  counted(items: AddedResults): void;
  /** `failed`: the attempt ended with an error. */
  attempted(outcome: ChunkOutcome | 'failed', durationMs: number): void;
  asked(result: 'succeeded' | 'failed' | 'stopped', durationMs: number): void;
  ended(status: string): void;
}

export function addBulkMetrics(metrics: Metrics, pace: () => number): BulkMetrics {
  metrics.gauge(BULK_METRICS.pace, () => [{ value: pace() }]);
  const items = metrics.counter(BULK_METRICS.items);
  const attempts = metrics.counter(BULK_METRICS.attempts);
  const chunkDuration = metrics.histogram(BULK_METRICS.chunkDuration);
  const handlerDuration = metrics.histogram(BULK_METRICS.handlerDuration);
  const jobs = metrics.counter(BULK_METRICS.jobs);
  return {
    counted(added) {
      for (const result of BULK_METRICS.items.labels.result)
        items.add(Math.max(0, added[result]), { result });
    },
    attempted(outcome, durationMs) {
      attempts.add(1, { outcome });
      chunkDuration.observe(durationMs / 1_000);
    },
    asked: (result, durationMs) => handlerDuration.observe(durationMs / 1_000, { result }),
    ended: (status) => jobs.add(1, { status }),
  };
}
