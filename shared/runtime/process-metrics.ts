import type { Health } from './health.ts';
import type { Log, LogFields } from './log.ts';
import { type Counter, defineMetrics } from './metrics.ts';
import { productVersion } from './version.ts';

export const PROCESS_METRICS = defineMetrics({
  ready: {
    name: 'tandem_ready',
    type: 'gauge',
    help: 'Whether the process works, as /readyz says: 1 or 0.',
    normal: '1 within seconds of the start',
  },
  build: {
    name: 'tandem_build_info',
    type: 'gauge',
    help: 'Always 1, with the version of Tandem.',
    normal: 'one version, two during an upgrade',
    labels: { version: 'the versions that run' },
  },
  resources: {
    name: 'tandem_catalog_resources',
    type: 'gauge',
    help: 'Resources of the catalog that the process works with.',
    normal: 'the same number in all processes',
  },
  logLines: {
    name: 'tandem_log_lines_total',
    type: 'counter',
    help: 'Warnings and errors logged, by event, also where LOG_LEVEL hides them.',
    normal: 'errors stay at 0; single warnings are harmless',
    labels: { level: ['warn', 'error'], event: 'the events in the tables of the runbook' },
  },
});

/** Errors that alert rules name. Each is served as 0 from the start, because a series that begins at 1 shows no increase. */
export const ALERTED_EVENTS = [
  'changes.lost',
  'changes.lost_at_end',
  'control_store.restored',
  'chunk.failed',
  'export.failed',

  'bulk.job_failed',
  'storage.full',
  'storage.refused',
] as const;

/** Adds what every process reports. @returns the log, which counts its warnings and errors from now on */
export function addProcessMetrics(health: Readonly<Health>, log: Log): Log {
  const { metrics } = health;
  metrics.gauge(PROCESS_METRICS.ready, async () => {
    const isReady = health.ready && ((await health.isServing?.()) ?? true);
    return [{ value: isReady ? 1 : 0 }];
  });
  metrics.gauge(PROCESS_METRICS.build, () => [{ value: 1, labels: { version: productVersion() } }]);
  const lines = metrics.counter(PROCESS_METRICS.logLines);
  for (const event of ALERTED_EVENTS) lines.add(0, { level: 'error', event });
  return countLines(log, lines);
}

function countLines(log: Log, lines: Counter): Log {
  const counted = (level: 'warn' | 'error') => (event: string, fields?: LogFields) => {
    lines.add(1, { level, event });
    log[level](event, fields);
  };
  return {
    debug: log.debug,
    info: log.info,
    warn: counted('warn'),
    error: counted('error'),
    child: (fields) => countLines(log.child(fields), lines),
  };
}
