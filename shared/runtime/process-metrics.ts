import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

const DELAY_RESOLUTION_MS = 20;
const NANOSECONDS = 1e9;

/** What every process tells of itself, by the names that are usual. Stops measuring when disposed of. */
export function addProcessMetrics(metrics: Metrics, health: { readonly ready: boolean }): Disposable {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  const startedAtSeconds = Date.now() / 1_000 - process.uptime();
  const one = (value: number) => [{ value }];
  metrics.gauge('process_start_time_seconds', 'When the process started, in epoch seconds.', () =>
    one(startedAtSeconds),
  );
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () =>
    one(process.memoryUsage.rss()),
  );
  metrics.gauge('nodejs_heap_used_bytes', 'Heap in use.', () => one(process.memoryUsage().heapUsed));
  metrics.gauge('process_cpu_seconds', 'CPU time used so far, user and system.', () => {
    const { user, system } = process.cpuUsage();
    return one((user + system) / 1e6);
  });
  metrics.gauge(
    'nodejs_eventloop_delay_max_seconds',
    'Longest delay of the event loop since the last scrape.',
    () => {
      const value = delay.max / NANOSECONDS;
      delay.reset();
      return one(value);
    },
  );
  metrics.gauge('tandem_ready', 'Whether every worker of the process is at work.', () =>
    one(health.ready ? 1 : 0),
  );
  return { [Symbol.dispose]: () => delay.disable() };
}
