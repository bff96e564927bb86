import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ALERTED_EVENTS } from '../shared/runtime/process-metrics.ts';
import { SETTINGS } from '../shared/runtime/settings.ts';
import { METRIC_SPECS, renderMetrics, SERIES_NAMES } from './support/metric-catalog.ts';
import { metricsIn, readAlerts, readDashboards } from './support/monitoring-files.ts';

const DOCUMENT = new URL('../deploy/monitoring/metrics.md', import.meta.url);

test('deploy/monitoring/metrics.md has what the services declare (UPDATE_GOLDEN=1 rewrites it)', () => {
  const text = renderMetrics();
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(DOCUMENT, text);
  expect(readFileSync(DOCUMENT, 'utf8')).toBe(text);
});

test('metrics are named as Prometheus names them, and have few series', () => {
  const names = METRIC_SPECS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const offences = METRIC_SPECS.flatMap(({ name, type, help, normal, labels = {}, buckets = [] }) => {
    const series = Object.values(labels).reduce(
      (count, values) => count * (typeof values === 'string' ? 1 : values.length),
      Math.max(1, buckets.length + 3),
    );
    return [
      [/^tandem_[a-z_]+$/.test(name), 'is not named tandem_…'],
      [(type === 'counter') === name.endsWith('_total'), 'ends in _total as a counter alone does'],
      [type !== 'histogram' || /_(seconds|bytes)$/.test(name), 'has no unit'],
      [(type === 'histogram') === buckets.length > 0, 'has buckets as a histogram alone does'],
      [
        buckets.every((bucket, index) => index === 0 || bucket > (buckets[index - 1] ?? 0)),
        'is not ascending',
      ],
      [help.endsWith('.') && help.length <= 140, 'has no sentence'],
      [!normal.endsWith('.') && normal.length <= 80, 'does not say what is normal'],
      [
        !Object.keys(labels).some((label) => /account|url|endpoint|tenant|id$/.test(label)),
        'names a customer',
      ],
      [series <= 100, `has ${series} series`],
    ].flatMap(([isRight, what]) => (isRight ? [] : [`${name} ${what}`]));
  });
  expect(offences).toEqual([]);
});

const SERIES = new Set([...SERIES_NAMES, 'nodejs_eventloop_lag_p99_seconds']);
/** Of the process, which prom-client names. */
const OF_PROCESS = ['process_cpu_seconds_total', 'process_resident_memory_bytes'];

const RUNBOOK = readFileSync(new URL('../deploy/README.md', import.meta.url), 'utf8');

const ANCHORS = [...RUNBOOK.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-'),
);

test('each alert says what is wrong and what to do, and has its entry in the runbook', () => {
  const alerts = readAlerts();
  expect(alerts.length).toBeGreaterThan(30);
  const offences = alerts.flatMap(
    ({ alert, labels, annotations: { summary, description, runbook_url: url } }) =>
      [
        [/^Tandem[A-Z][A-Za-z]+$/.test(alert), 'is not named Tandem…'],
        [labels.severity === 'critical' || labels.severity === 'warning', 'has no severity'],
        [summary.endsWith('.') && summary.length <= 100, 'has no short summary'],
        [description.trim().endsWith('.') && description.length <= 400, 'has no description'],
        [url.startsWith('deploy/README.md#') && ANCHORS.includes(url.split('#')[1] ?? ''), `leads to ${url}`],
        [RUNBOOK.includes(`| \`${alert}\` |`), 'has no entry in the runbook'],
      ].flatMap(([isRight, what]) => (isRight ? [] : [`${alert} ${what}`])),
  );
  const entries = [...RUNBOOK.matchAll(/^\| `(Tandem\w+)` \|/gm)].map(([, name]) => name);
  const gone = entries.filter((name) => !alerts.some(({ alert }) => alert === name));
  expect([...offences, ...gone.map((name) => `${name} is in the runbook alone`)]).toEqual([]);
});

test('alerts name metrics, events and settings that there are', () => {
  const events = new Set<string>(ALERTED_EVENTS);
  const offences = readAlerts().flatMap(({ alert, expr, annotations }) => {
    const named = [...expr.matchAll(/level="error",event=~?"([^"]+)"/g)].flatMap(([, all = '']) =>
      all.split('|'),
    );
    const settings = Object.values(annotations).flatMap(
      (text) => text.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g) ?? [],
    );
    return [
      ...metricsIn(expr).filter((name) => !SERIES.has(name)),
      ...named.filter((event) => !events.has(event)),
      ...settings.filter((name) => !(name in SETTINGS)),
    ].map((name) => `${alert} names ${name}`);
  });
  expect(offences).toEqual([]);
});

test('installations that share a Prometheus are told apart by their namespace', () => {
  const merged = readAlerts().filter(({ expr }) =>
    /\b(max|min|sum|count)\s*(\(|by \((?!namespace\b))/.test(expr),
  );
  expect(merged.map(({ alert }) => alert)).toEqual([]);
  const open = readDashboards().flatMap(({ file, panels }) =>
    panels.flatMap(({ title, targets = [] }) =>
      targets
        .filter(({ expr }) => /\b(tandem|nodejs|process)_\w+(?!\w|\{namespace=~"\$namespace")/.test(expr))
        .map(() => `${file}, ${title}`),
    ),
  );
  expect(open).toEqual([]);
});

test('the chart scales by metrics that there are', () => {
  const values = parse(readFileSync(new URL('../deploy/chart/values.yaml', import.meta.url), 'utf8')) as {
    autoscaling: { services: Record<string, { triggers: { query: string }[] }> };
  };
  const names = Object.values(values.autoscaling.services).flatMap(({ triggers }) =>
    triggers.flatMap(({ query }) => metricsIn(query)),
  );
  expect(names.length).toBeGreaterThan(3);
  expect(names.filter((name) => !SERIES.has(name))).toEqual([]);
});

test('each panel of a dashboard has a unit and says what it shows, by metrics that there are', () => {
  const dashboards = readDashboards();
  expect(dashboards.map(({ file }) => file).sort()).toEqual(
    ['bulk', 'deliveries', 'exports', 'feed', 'overview', 'source'].map((name) => `${name}.json`),
  );
  const offences = dashboards.flatMap(({ file, uid, title, panels }) => [
    ...(`tandem-${file.replace('.json', '')}` === uid && title.startsWith('Tandem: ')
      ? []
      : [`${file}: ${uid}, ${title}`]),
    ...(new Set(panels.map(({ id }) => id)).size === panels.length ? [] : [`${file}: an ID twice`]),
    ...panels
      .filter(({ type }) => type !== 'row')
      .flatMap(({ title: panel, description = '', fieldConfig, targets = [], gridPos }) =>
        [
          [description.endsWith('.'), 'has no description'],
          [(fieldConfig?.defaults.unit ?? '') !== '', 'has no unit'],
          [targets.length > 0, 'has no expression'],
          [gridPos.x + gridPos.w <= 24, 'is too wide'],
          ...targets
            .flatMap(({ expr }) => metricsIn(expr))
            .map((name) => [SERIES.has(name) || OF_PROCESS.includes(name), `names ${name}`]),
        ].flatMap(([isRight, what]) => (isRight ? [] : [`${file}, ${panel} ${what}`])),
      ),
  ]);
  expect(offences).toEqual([]);
});

test('every metric is on a dashboard', () => {
  const shown = new Set(
    readDashboards().flatMap(({ panels }) =>
      panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsIn(expr))),
    ),
  );
  const hidden = METRIC_SPECS.filter(({ name, type }) =>
    type === 'histogram' ? !shown.has(`${name}_bucket`) : !shown.has(name),
  );
  expect(hidden.map(({ name }) => name)).toEqual([]);
});
