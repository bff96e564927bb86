import { HTTP_METRICS, STATUS_METRICS } from '../../services/api/metrics.ts';
import { BULK_METRICS } from '../../services/bulk/metrics.ts';
import { CAPTURE_METRICS } from '../../services/capture/metrics.ts';
import { DISPATCHER_METRICS } from '../../services/dispatcher/metrics.ts';
import { EXTRACTOR_METRICS } from '../../services/extractor/metrics.ts';
import { WRITER_METRICS } from '../../services/writer/metrics.ts';
import { SLOT_METRICS } from '../../shared/catalog/slot-health.ts';
import { REGISTRY_METRICS } from '../../shared/kafka/registry.ts';
import { POOL_METRICS } from '../../shared/postgres/pool-metrics.ts';
import type { MetricSpec } from '../../shared/runtime/metrics.ts';
import { PROCESS_METRICS } from '../../shared/runtime/process-metrics.ts';
import type { ServiceName } from '../../shared/service/open-parts.ts';
import { STORAGE_METRICS } from '../../shared/storage/measure-storage.ts';

interface MetricGroup {
  readonly title: string;
  readonly services: readonly ServiceName[];
  readonly specs: readonly MetricSpec[];
}

const ALL: readonly ServiceName[] = ['api', 'bulk', 'capture', 'dispatcher', 'extractor', 'writer'];

/** Every metric of Tandem's own, and who serves it. */
export const METRIC_GROUPS: readonly MetricGroup[] = [
  { title: 'Every service', services: ALL, specs: Object.values({ ...PROCESS_METRICS, ...POOL_METRICS }) },
  { title: 'The installation', services: ['api'], specs: Object.values(STATUS_METRICS) },
  { title: 'The slot on the source', services: ['api', 'capture'], specs: Object.values(SLOT_METRICS) },
  { title: 'HTTP', services: ['api'], specs: Object.values(HTTP_METRICS) },
  { title: 'Capture', services: ['capture'], specs: Object.values(CAPTURE_METRICS) },
  { title: 'Event log and deliveries', services: ['dispatcher'], specs: Object.values(DISPATCHER_METRICS) },
  { title: 'Reading the source', services: ['extractor'], specs: Object.values(EXTRACTOR_METRICS) },
  { title: 'Files', services: ['writer'], specs: Object.values(WRITER_METRICS) },
  { title: 'Bulk jobs', services: ['bulk'], specs: Object.values(BULK_METRICS) },
  { title: 'Storage', services: ['api', 'bulk', 'writer'], specs: Object.values(STORAGE_METRICS) },
  {
    title: 'Schema registry',
    services: ['api', 'capture', 'dispatcher', 'extractor', 'writer'],
    specs: Object.values(REGISTRY_METRICS),
  },
];

export const METRIC_SPECS: readonly MetricSpec[] = METRIC_GROUPS.flatMap(({ specs }) => specs);

/** Names of series: a histogram has three, of which queries use the names. */
export const SERIES_NAMES: ReadonlySet<string> = new Set(
  METRIC_SPECS.flatMap(({ name, type }) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);

const HEAD = `<!-- Made from the services' metrics.ts by test/monitoring.test.ts; UPDATE_GOLDEN=1 rewrites it. -->

# Metrics

Every process serves \`/metrics\` in the text format of Prometheus: at \`HEALTH_PORT\` without a key, and the API at \`PORT\` with
the operator's key. A value that cannot be read is absent, not 0. No label names an account, an endpoint or a URL, so the
number of series does not grow with customers. \`process_*\` and \`nodejs_*\` are those of prom-client.

All API processes serve the same values of *The installation* and *The slot on the source*: queries take \`max\` over them.
Of all others, queries take \`sum\`.
`;

/** The text of `deploy/monitoring/metrics.md`. */
export function renderMetrics(): string {
  const groups = METRIC_GROUPS.map(({ title, services, specs }) => {
    const of = services.length === ALL.length ? 'all services' : services.join(', ');
    const rows = specs.flatMap(({ name, type, labels = {}, help, normal }) => [
      `| \`${name}\` | ${type} | ${Object.keys(labels).join(', ') || '–'} | ${help} | ${normal} |`,
    ]);
    const values = specs.flatMap(({ name, labels = {} }) =>
      Object.entries(labels).map(
        ([label, of]) =>
          `- \`${name}\`, \`${label}\`: ${typeof of === 'string' ? of : of.map((value) => `\`${value}\``).join(', ')}`,
      ),
    );
    return [
      `## ${title}`,
      '',
      `Served by: ${of}.`,
      '',
      '| Name | Type | Labels | Meaning | Normal |',
      '|---|---|---|---|---|',
      ...rows,
      ...(values.length > 0 ? ['', ...values] : []),
    ].join('\n');
  });
  return `${[HEAD.trimEnd(), ...groups].join('\n\n')}\n`;
}
