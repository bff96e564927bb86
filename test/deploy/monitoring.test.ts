import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import type { ExportView } from '../../deploy/demo/api-client.ts';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import type { MetricSpec } from '../../shared/runtime/metrics.ts';
import type { ServiceName } from '../../shared/service/open-parts.ts';
import { METRIC_GROUPS } from '../support/metric-catalog.ts';
import {
  ALERTS_FILE,
  type AlertRule,
  MONITORING,
  metricsIn,
  readAlerts,
  readDashboards,
} from '../support/monitoring-files.ts';
import { findPrometheus, startPrometheus } from '../support/prometheus.ts';
import { testStack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';
import { openWebhookReceiver } from '../support/webhook-receiver.ts';
import { FAULT_MINUTES, FAULTS, HEALTHY, HEALTHY_MINUTES, type Series } from './alert-faults.ts';

const prometheus = findPrometheus();

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-rules-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function writeYaml(folder: string, name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, stringify(content));
  return path;
}

const writeTest = (folder: string, name: string, rules: string, of: object) =>
  writeYaml(folder, `${name}.yaml`, {
    rule_files: [rules],
    evaluation_interval: '1m',
    tests: [{ interval: '1m', ...of }],
  });

/** An expression as Grafana sends it for all installations. */
const inForm = (expr: string, interval: string) =>
  expr.replaceAll('$__rate_interval', interval).replaceAll('$namespace', '.*');

function check(args: readonly string[], input?: string): void {
  const { code, output } = prometheus?.check(args, input) ?? { code: 0, output: '' };
  expect(code, output).toBe(0);
}

/** Whether an alert fires at a minute. */
const firing = (alert: string, isFiring: boolean) => ({
  expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
  exp_samples: isFiring ? [{ labels: '{}', value: 1 }] : [],
});

const toInput = (all: Iterable<Series>) => [...all].map(([series, values]) => ({ series, values }));

/** The same of another installation, which stays well beside each fault. */
const elsewhere = ([series, values]: Series): Series => [series.replace('{', '{namespace="other",'), values];

/** Of a fault, the series that the rule reads: the others would take their time with each. */
function withFault({ alert, expr }: AlertRule) {
  const all = new Map([...HEALTHY.map(elsewhere), ...HEALTHY, ...(FAULTS[alert] ?? [])]);
  const names = metricsIn(expr);
  return toInput([...all].filter(([series]) => names.includes(series.replace(/\{.*/, ''))));
}

test.runIf(prometheus)(
  'each alert is silent while all is well, waits its time, and fires on its fault',
  () => {
    check(['check', 'rules', '--lint=all', '--lint-fatal', ALERTS_FILE]);
    check(['check', 'config', '--syntax-only', `${MONITORING}prometheus.yml`]);
    const alerts = readAlerts();
    expect(Object.keys(FAULTS).sort()).toEqual(alerts.map(({ alert }) => alert).sort());
    const healthy = {
      input_series: toInput([...HEALTHY, ...HEALTHY.map(elsewhere)]),
      promql_expr_test: [10, 60, HEALTHY_MINUTES + FAULT_MINUTES].map((minute) => ({
        expr: 'ALERTS',
        eval_time: `${minute}m`,
        exp_samples: [],
      })),
    };
    const folder = temporaryFolder();
    const faulty = alerts.map((rule) => {
      const { alert, for: waits = '0m' } = rule;
      const minutes = waits.endsWith('h') ? 60 * Number.parseInt(waits, 10) : Number.parseInt(waits, 10);
      const before = { ...firing(alert, false), eval_time: `${HEALTHY_MINUTES - 1}m` };
      // An expression needs a while of its own before it holds.
      const early = { ...firing(alert, false), eval_time: `${HEALTHY_MINUTES - 1 + minutes}m` };
      const late = { ...firing(alert, true), eval_time: `${HEALTHY_MINUTES + FAULT_MINUTES - 1}m` };
      const fault = {
        name: alert,
        input_series: withFault(rule),
        promql_expr_test: [before, ...(minutes > 0 ? [early] : []), late],
      };
      // Alone: the other rules would take their time with each fault.
      const alone = writeYaml(folder, `${alert}.rule.yaml`, { groups: [{ name: 'alone', rules: [rule] }] });
      return writeTest(folder, alert, alone, fault);
    });
    check(['test', 'rules', writeTest(folder, 'healthy', ALERTS_FILE, healthy), ...faulty]);
  },
);

test.runIf(prometheus)('every expression of a dashboard can be evaluated', () => {
  const rules = readDashboards().flatMap(({ file, panels }) =>
    panels.flatMap(({ id, targets = [] }) =>
      targets.map(({ expr, refId }) => ({
        record: `panel:${file.replaceAll(/\W/g, '_')}_${id}_${refId}`,
        expr: inForm(expr, '5m'),
      })),
    ),
  );
  expect(rules.length).toBeGreaterThan(30);
  check([
    'check',
    'rules',
    '--lint=none',
    writeYaml(temporaryFolder(), 'panels.yaml', { groups: [{ name: 'panels', rules }] }),
  ]);
});

const SERVICES: readonly ServiceName[] = ['api', 'bulk', 'capture', 'dispatcher', 'extractor', 'writer'];

/** What this installation has no occasion for. */
const WITHOUT_SAMPLES = [
  // No max_slot_wal_keep_size.
  'api tandem_slot_safe_wal_bytes',
  'capture tandem_slot_safe_wal_bytes',
  // No replica.
  'extractor tandem_replica_lag_seconds',
  // No operation with a handler, and no file of IDs.
  'bulk tandem_bulk_handler_duration_seconds',
  'bulk tandem_storage_operation_duration_seconds',
];

/** Expressions that have no series as long as nothing is wrong, and those of what this installation has not. */
const EMPTY_IN_HEALTH = [
  'tandem_bottleneck',
  'tandem_resource_set_aside',
  'tandem_log_lines_total',
  'tandem_slot_safe_wal_bytes',
  'tandem_replica_lag_seconds',
  'tandem_bulk_handler_duration_seconds',
];

interface Served {
  readonly type: string;
  readonly help: string;
  readonly samples: Readonly<Record<string, string>>[];
}

/** Metrics of a scrape, with the labels of each sample. */
function parseMetrics(text: string): Map<string, Served> {
  const served = new Map<string, Served>();
  const helps = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') helps.set(name, rest);
    if (kind === 'TYPE') served.set(name, { type: rest, help: helps.get(name) ?? '', samples: [] });
    const [, series = '', labels = ''] = /^([a-z_0-9]+)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    const owner = served.get(series) ?? served.get(series.replace(/_(bucket|sum|count)$/, ''));
    const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].filter(([, label]) => label !== 'le');
    owner?.samples.push(Object.fromEntries(pairs.map(([, label = '', value = '']) => [label, value])));
  }
  return served;
}

/** What a service serves other than it is documented. */
function faultsOf(service: ServiceName, served: ReadonlyMap<string, Served>): string[] {
  const documented = new Map(
    METRIC_GROUPS.filter(({ services }) => services.includes(service)).flatMap(({ specs }) =>
      specs.map((spec): [string, MetricSpec] => [spec.name, spec]),
    ),
  );
  const unknown = [...served.keys()].filter(
    (name) => !documented.has(name) && !/^(nodejs|process)_/.test(name),
  );
  return [
    ...unknown.map((name) => `${service} serves ${name}, which is not documented`),
    ...[...documented.values()].flatMap(({ name, type, help, labels = {} }) => {
      const found = served.get(name);
      if (found === undefined) return [`${service} does not serve ${name}`];
      const strange = found.samples.flatMap((sample) => [
        ...Object.keys(labels).filter((label) => !(label in sample)),
        ...Object.entries(sample)
          .filter(([label, value]) => {
            const values = labels[label];
            return values === undefined || (typeof values !== 'string' && !values.includes(value));
          })
          .map((pair) => pair.join('=')),
      ]);
      return [
        ...(found.type === type ? [] : [`${service}: ${name} is a ${found.type}`]),
        ...(found.help === help ? [] : [`${service}: ${name} means ${found.help}`]),
        ...[...new Set(strange)].map((label) => `${service}: ${name} has the label ${label}`),
        ...(found.samples.length > 0 || WITHOUT_SAMPLES.includes(`${service} ${name}`)
          ? []
          : [`${service}: ${name} has no value`]),
      ];
    }),
  ];
}

async function scrape(world: World, service: ServiceName): Promise<string> {
  const headers = { authorization: `Bearer ${world.env.ADMIN_KEY}` };
  const response = await fetch(
    `${world.services.url(service)}/metrics`,
    service === 'api' ? { headers } : {},
  );
  expect(response.status).toBe(200);
  return response.text();
}

/** An export, a webhook with an event, and a bulk job. */
async function doSomeWork(world: World): Promise<void> {
  const { client } = await world.createCustomer(world.generated.accounts[0] ?? '');
  const { id } = await client.call<ExportView>('POST', '/exports', { resource: 'invoices' });
  const { files = [] } = await client.completedExport(id, 120_000);
  for (const { url } of files) await (await fetch(url)).arrayBuffer();
  await using receiver = await openWebhookReceiver();
  await client.call('POST', '/webhooks', {
    url: receiver.url,
    events: ['*'],
    start: { after_export: id },
  });
  const { job_id: jobId } = await client.call<{ job_id: string }>('POST', '/bulk/operations', {
    resource: 'invoices',
    operation: 'update',
    async: true,
    filter: { status: { in: ['open', 'paid', 'draft'] } },
    params: { memo: 'changed' },
  });
  await waitFor('the job has ended', async () => {
    const { status } = await client.call<{ status: string }>('GET', `/bulk/operations/${jobId}`);
    return status === 'completed';
  });
  await receiver.until('an event', (received) =>
    received.some(({ body }) => body.includes('invoice.updated')),
  );
  await client.call('GET', '/nothing/here').catch(() => undefined);
}

test.runIf(prometheus)(
  'what each service serves after some work is what is documented, and nothing else',
  async () => {
    await using world = await openWorld({
      stack: testStack(),
      directory: tmpdir(),
      rows: 2_000,
      accounts: 2,
      services: Object.fromEntries(SERVICES.map((service) => [service, 1])),
      log: silentLog,
    });
    if (prometheus === undefined) return;
    await using running = await startPrometheus(prometheus, world.env.ADMIN_KEY ?? '', (service) =>
      world.services.url(service as ServiceName).replace('http://', ''),
    );
    await waitFor('all are scraped', async () => (await running.query('up == 1')).length === SERVICES.length);
    await doSomeWork(world);
    // The lag of the consumers is read when it is first asked for, and shown once Kafka has responded.
    await waitFor('the consumers are known', async () =>
      (await scrape(world, 'api')).includes('tandem_consumer_lag{'),
    );
    // Attempts are recorded beside the deliveries.
    await waitFor('the attempts are counted', async () =>
      /^tandem_delivery_delay_seconds_count [1-9]/m.test(await scrape(world, 'dispatcher')),
    );
    const figures: string[] = [];
    const faults: string[] = [];
    for (const service of SERVICES) {
      const startedAtMs = performance.now();
      const text = await scrape(world, service);
      const tookMs = performance.now() - startedAtMs;
      const served = parseMetrics(text);
      const seriesCount = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
      figures.push(`${service}: ${seriesCount} series, ${text.length} bytes, ${tookMs.toFixed(1)} ms`);
      faults.push(...faultsOf(service, served));
      check(['check', 'metrics'], text);
      expect(seriesCount, service).toBeLessThan(1_500);
    }
    console.log(figures.join('\n'));
    expect(faults).toEqual([]);

    await waitFor('Prometheus has the end of the work', async () => {
      const [found] = await running.query('sum(increase(tandem_bulk_jobs_ended_total[1m])) > 0');
      return found !== undefined;
    });
    const empty: string[] = [];
    for (const { file, panels } of readDashboards()) {
      for (const { title, targets = [] } of panels) {
        for (const { expr } of targets) {
          const result = await running.query(inForm(expr, '1m'));
          if (result.length === 0) empty.push(`${file}, ${title}: ${expr}`);
        }
      }
    }
    const known = empty.filter((line) => EMPTY_IN_HEALTH.some((part) => line.includes(part)));
    expect(empty.filter((line) => !known.includes(line))).toEqual([]);
    const named = await running.query('max by (service) (tandem_processes)');
    expect(named.map(({ metric }) => metric.service).sort()).toEqual(SERVICES);
    // A label of a target that a metric has too renames the metric's.
    expect(await running.query('{__name__=~"tandem_.+",exported_service!=""}')).toEqual([]);
    const firing = await running.query('ALERTS{alertstate="firing"}');
    expect(firing.map(({ metric }) => metric.alertname)).toEqual([]);
  },
);
