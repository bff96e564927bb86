import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { SETTINGS } from '../../shared/runtime/settings.ts';
import { type AlertRule, readAlerts, readDashboards } from '../support/monitoring-files.ts';
import { findPython, HELM } from '../support/python.ts';

const CHART = fileURLToPath(new URL('../../deploy/chart/', import.meta.url));

/** The oldest supported Kubernetes, and the newest that the checker knows. */
const VERSIONS = ['1.28', '1.37'];

const SERVICES = ['api', 'bulk', 'capture', 'dispatcher', 'extractor', 'writer'];

const REQUIRED = { existingSecret: 'tandem', catalog: 'resources: {}\n' };

interface Container {
  readonly args?: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly securityContext: object;
  readonly resources: { readonly limits: Readonly<Record<string, string>> };
}

interface PodSpec {
  readonly containers: readonly Container[];
  readonly securityContext: object;
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds?: number;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  // Of another form in each kind; a test reads what it is about.
  // biome-ignore lint/suspicious/noExplicitAny: manifests are read as they are
  readonly spec: any;
}

const python = findPython(HELM);

async function render(
  values: object,
  release = 'shop',
): Promise<{ manifests: Manifest[]; faults: string[] }> {
  const text = JSON.stringify({ ...REQUIRED, ...values });
  return (await python?.read('render_chart.py', CHART, release, text, ...VERSIONS)) as {
    manifests: Manifest[];
    faults: string[];
  };
}

const componentOf = ({ metadata }: Manifest) => metadata.labels['app.kubernetes.io/component'];

const ofKind = (manifests: readonly Manifest[], kind: string) =>
  manifests
    .filter((manifest) => manifest.kind === kind)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));

function podsOf(manifests: readonly Manifest[]): PodSpec[] {
  return manifests.flatMap(({ kind, spec }) =>
    kind === 'Pod' ? [spec] : kind === 'Deployment' || kind === 'Job' ? [spec.template.spec] : [],
  );
}

const files = readdirSync(CHART).filter((name) => /^values.*\.yaml$/.test(name));

test.runIf(python).each(files)('%s makes manifests that Kubernetes takes', async (file) => {
  const values = parse(readFileSync(`${CHART}${file}`, 'utf8')) as object;
  const ingress = { enabled: true, host: 'tandem.example.com' };
  const { manifests, faults } = await render({ ...values, ...REQUIRED, ingress });
  expect(faults).toEqual([]);
  expect(ofKind(manifests, 'Deployment').map(componentOf)).toEqual(SERVICES);
});

test.runIf(python)(
  'every pod is no root’s, writes nothing but its volumes, and gets its secrets by name',
  async () => {
    const { manifests } = await render({ publicUrl: 'https://tandem.example.com' });
    const pods = podsOf(manifests);
    expect(pods).toHaveLength(SERVICES.length + 3);
    for (const pod of pods) {
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 10001 });
      expect(pod.automountServiceAccountToken).toBe(false);
      for (const container of pod.containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.resources.limits).toHaveProperty('memory');
        expect(container.resources.limits).not.toHaveProperty('cpu');
        const names = container.env.map(({ name }) => name);
        expect(names.filter((name) => /SECRET|PASSWORD|KEY|DATABASE_URL/.test(name))).toEqual([]);
        const known = new Set([...Object.keys(SETTINGS), 'SERVICE', 'TANDEM_URL']);
        expect(names.filter((name) => !known.has(name))).toEqual([]);
      }
    }
    const settings = ofKind(manifests, 'ConfigMap').find(({ metadata }) =>
      metadata.name.endsWith('settings'),
    );
    expect(settings?.data).toMatchObject({ CONTROL_MIGRATIONS: 'check', KAFKA_CREATE_TOPICS: 'false' });
    expect(Object.keys(settings?.data ?? {}).filter((name) => !(name in SETTINGS))).toEqual([]);
  },
);

test.runIf(python)('a service has its name, drains within its time, and its writer a disk', async () => {
  const { manifests } = await render({});
  for (const deployment of ofKind(manifests, 'Deployment')) {
    const pod = deployment.spec.template.spec as PodSpec;
    const variables = new Map(pod.containers[0]?.env.map(({ name, value }) => [name, value]));
    expect(variables.get('SERVICE')).toBe(componentOf(deployment));
    expect(variables.has('WRITER_SCRATCH_DIR')).toBe(componentOf(deployment) === 'writer');
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(27);
  }
  expect(ofKind(manifests, 'PodDisruptionBudget').map(componentOf)).toEqual(SERVICES);
});

test.runIf(python)(
  'migrations and topics come before the services, and the test compares with the source',
  async () => {
    const { manifests } = await render({});
    const jobs = ofKind(manifests, 'Job');
    for (const job of jobs)
      expect(job.metadata.annotations?.['helm.sh/hook']).toBe('pre-install,pre-upgrade');
    expect(jobs.map(({ spec }) => spec.template.spec.containers[0].args)).toEqual([
      ['migrate', 'apply'],
      ['topics', 'apply'],
    ]);
    const [pod] = ofKind(manifests, 'Pod');
    expect(pod?.metadata.annotations?.['helm.sh/hook']).toBe('test');
    expect(pod?.spec.containers[0].args).toEqual(['verify']);
    // What a rollback has to bring back is no hook.
    const hooks = manifests.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] !== undefined);
    expect(hooks.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual([
      'ConfigMap shop-migrate',
      'ConfigMap shop-topics',
      'ConfigMap shop-topics-catalog',
      'Job shop-migrate',
      'Job shop-topics',
      'Pod shop-verify',
    ]);
    const without = await render({ migrations: { job: false }, topics: { job: false } });
    expect(ofKind(without.manifests, 'Job')).toEqual([]);
    const settings = ofKind(without.manifests, 'ConfigMap').find(({ metadata }) =>
      metadata.name.endsWith('settings'),
    );
    expect(settings?.data).not.toHaveProperty('CONTROL_MIGRATIONS');
    expect(settings?.data).not.toHaveProperty('KAFKA_CREATE_TOPICS');
  },
);

test.runIf(python)('topics are created by a Kafka user of their own, if one is named', async () => {
  const topics = { existingSecret: 'kafka-admin', env: { KAFKA_SASL_USERNAME: 'admin' } };
  const { manifests, faults } = await render({ topics });
  expect(faults).toEqual([]);
  const [migrate, job] = ofKind(manifests, 'Job').map(({ spec }) => spec.template.spec);
  const secretsOf = (pod: typeof job) =>
    pod.containers[0].envFrom.flatMap(
      ({ secretRef }: { secretRef?: { name: string } }) => secretRef?.name ?? [],
    );
  expect(secretsOf(job)).toEqual(['tandem', 'kafka-admin']);
  expect(secretsOf(migrate)).toEqual(['tandem']);
  expect(job.containers[0].env).toContainEqual({ name: 'KAFKA_SASL_USERNAME', value: 'admin' });
  expect(job.volumes).toContainEqual({ name: 'catalog', configMap: { name: 'shop-topics-catalog' } });
});

test.runIf(python)(
  'the source is prepared for the catalog by a role of its own, if that is asked for',
  async () => {
    const { manifests, faults } = await render({ source: { job: true, existingSecret: 'owner' } });
    expect(faults).toEqual([]);
    const [, job] = ofKind(manifests, 'Job').map(({ spec }) => spec.template.spec);
    const [container] = job.containers;
    expect(container.args).toEqual(['source', 'prepare', '--allow-refused']);
    // The later one counts.
    expect(container.envFrom.slice(1)).toEqual([
      { secretRef: { name: 'tandem' } },
      { secretRef: { name: 'owner' } },
    ]);
    expect(container.env).toContainEqual({ name: 'CATALOG', value: '/etc/tandem/catalog.yaml' });
    expect(job.volumes).toContainEqual({ name: 'catalog', configMap: { name: 'shop-prepare-catalog' } });
  },
);

test.runIf(python)(
  'the API takes requests until proxies know that it ends, on top of its time for work',
  async () => {
    const { manifests } = await render({ terminationGracePeriodSeconds: 40, lastRequestsSeconds: 7 });
    const pods = ofKind(manifests, 'Deployment').map(({ spec }) => spec.template.spec);
    expect(pods.map((pod) => pod.terminationGracePeriodSeconds)).toEqual([47, 40, 40, 40, 40, 40]);
    expect(pods.map((pod) => pod.containers[0].lifecycle?.preStop.exec.command)).toEqual([
      ['sleep', '7'],
      ...Array(5).fill(undefined),
    ]);
  },
);

test.runIf(python)('a scaled service leaves its number to the scaler', async () => {
  const { manifests } = await render({ autoscaling: { enabled: true } });
  const scaled = ofKind(manifests, 'ScaledObject').map(componentOf);
  expect(scaled).toEqual(['bulk', 'dispatcher', 'extractor', 'writer']);
  for (const deployment of ofKind(manifests, 'Deployment')) {
    expect('replicas' in deployment.spec).toBe(!scaled.includes(componentOf(deployment)));
  }
  const lags = ofKind(manifests, 'ScaledObject').flatMap(({ spec }) =>
    spec.triggers.flatMap(({ metadata }: { metadata: { query: string } }) =>
      [...metadata.query.matchAll(/consumer="(\w+)"/g)].map(([, consumer]) => consumer),
    ),
  );
  expect(lags).toEqual(['recorder', 'writer']);
  // By what its own installation has to do, where several share a Prometheus.
  for (const { spec } of ofKind(manifests, 'ScaledObject')) {
    for (const { metadata } of spec.triggers) expect(metadata.query).toContain('{namespace=~"tandem|"');
  }
});

test.runIf(python)(
  'webhooks reach no private network, and nobody but metrics reaches a service that has no API',
  async () => {
    const { manifests } = await render({
      networkPolicies: {
        source: ['10.20.0.0/24'],
        infrastructure: ['10.20.1.0/24'],
        collector: { namespace: 'observability', port: 4318 },
      },
    });
    for (const policy of ofKind(manifests, 'NetworkPolicy')) {
      const blocks = (
        policy.spec.egress as { to?: { ipBlock?: { cidr: string; except?: string[] } }[] }[]
      ).flatMap(({ to = [] }) => to.flatMap(({ ipBlock }) => ipBlock ?? []));
      const service = componentOf(policy);
      const open = blocks.filter(({ cidr }) => cidr === '0.0.0.0/0');
      expect(open.length, service).toBe(['api', 'bulk', 'dispatcher'].includes(service ?? '') ? 1 : 0);
      for (const { except = [] } of open) expect(except).toContain('10.0.0.0/8');
      expect(
        blocks.some(({ cidr }) => cidr === '10.20.0.0/24'),
        service,
      ).toBe(service !== 'writer');
      expect('from' in policy.spec.ingress[0], service).toBe(service !== 'api');
      expect(policy.spec.egress, service).toContainEqual({
        to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'observability' } } }],
        ports: [{ port: 4318, protocol: 'TCP' }],
      });
    }
    const { manifests: open } = await render({});
    for (const policy of ofKind(open, 'NetworkPolicy')) {
      if (!['api', 'bulk', 'dispatcher'].includes(componentOf(policy) ?? '')) continue;
      const anywhere = (policy.spec.egress as { to?: unknown; ports: { port: number }[] }[])
        .filter(({ to }) => to === undefined)
        .flatMap(({ ports }) => ports.map(({ port }) => port));
      expect(anywhere, componentOf(policy)).not.toContain(443);
    }
  },
);

test.runIf(python)(
  'monitoring brings scrapes with the key that the API wants, the rules, and the dashboards',
  async () => {
    const { manifests } = await render({
      monitoring: {
        enabled: true,
        labels: { release: 'prometheus' },
        runbookUrl: 'https://wiki.example.com/tandem',
      },
    });
    const monitors = ofKind(manifests, 'PodMonitor');
    const scraped = monitors.map(({ spec }) => ({
      components: spec.selector.matchExpressions[0],
      authorization: spec.podMetricsEndpoints[0].authorization,
    }));
    const key = 'app.kubernetes.io/component';
    expect(scraped).toEqual([
      {
        components: { key, operator: 'In', values: ['api'] },
        authorization: { credentials: { name: 'tandem', key: 'ADMIN_KEY' } },
      },
      { components: { key, operator: 'NotIn', values: ['api'] }, authorization: undefined },
    ]);
    const [rules] = ofKind(manifests, 'PrometheusRule');
    const installed = rules?.spec.groups.flatMap((group: { rules: AlertRule[] }) => group.rules);
    const link = (url: string) => url.replace('deploy/README.md', 'https://wiki.example.com/tandem');
    expect(installed).toEqual(
      readAlerts().map((rule) => ({
        ...rule,
        annotations: { ...rule.annotations, runbook_url: link(rule.annotations.runbook_url) },
      })),
    );
    for (const each of [...monitors, ...(rules ? [rules] : [])]) {
      expect(each.metadata.labels).toMatchObject({ release: 'prometheus' });
    }
    const maps = ofKind(manifests, 'ConfigMap').filter(
      ({ metadata }) => metadata.labels.grafana_dashboard === '1',
    );
    const shown = maps.flatMap(({ data = {} }) =>
      Object.entries(data).map(([file, text]) => ({
        ...JSON.parse(text),
        file: file.replace('tandem-', ''),
      })),
    );
    expect(shown).toEqual(readDashboards().sort((a, b) => (a.file < b.file ? -1 : 1)));
    const without = await render({});
    const kinds = new Set(without.manifests.map(({ kind }) => kind));
    expect([kinds.has('PodMonitor'), kinds.has('PrometheusRule')]).toEqual([false, false]);
  },
);

test.runIf(python)('what has to be chosen is asked for', async () => {
  await expect(render({ existingSecret: '' })).rejects.toThrow('existingSecret must name a Secret');
  await expect(render({ catalog: '' })).rejects.toThrow('--set-file catalog=catalog.yaml');
});

/** Every choice of pods in a manifest, as labels that a pod must have; that of a policy or a monitor stands at another place. */
function selectorsOf({ kind, spec }: Manifest): Readonly<Record<string, string>>[] {
  if (kind === 'Service') return [spec.selector];
  const own = spec?.podSelector ?? spec?.selector;
  const spread = spec?.template?.spec.topologySpreadConstraints ?? [];
  return [own, ...spread.map((each: { labelSelector: object }) => each.labelSelector)].flatMap(
    (selector) => selector?.matchLabels ?? [],
  );
}

test.runIf(python)('two releases in one namespace share nothing that either has alone', async () => {
  const beside = parse(readFileSync(`${CHART}values-beside.yaml`, 'utf8')) as { monitoring: object };
  const monitoring = { enabled: true, dashboardLabels: { grafana_dashboard: '1' } };
  const shared = { serviceAccount: { name: 'tandem' }, autoscaling: { enabled: true } };
  const blue = await render({ ...shared, monitoring, ingress: { enabled: true, host: 'a.example' } }, 'blue');
  const green = await render(
    { ...shared, ...beside, monitoring: { ...monitoring, ...beside.monitoring } },
    'green',
  );
  expect([...blue.faults, ...green.faults]).toEqual([]);
  const named = ({ manifests }: typeof blue) =>
    manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  expect(named(green).filter((name) => named(blue).includes(name))).toEqual([]);
  const onlyOnce = ['Ingress', 'PrometheusRule'];
  const kinds = new Set(green.manifests.map(({ kind }) => kind));
  expect(onlyOnce.filter((kind) => kinds.has(kind))).toEqual([]);
  expect(green.manifests.filter(({ metadata }) => 'grafana_dashboard' in metadata.labels)).toEqual([]);
  for (const [one, other] of [
    [blue, green],
    [green, blue],
  ] as const) {
    const pods = one.manifests.flatMap(({ spec }) => spec?.template?.metadata.labels ?? []);
    const selectors = other.manifests.flatMap(selectorsOf);
    // Each service has a Deployment with two spreads, a budget and a policy; the API a Service; monitors are two.
    expect(selectors).toHaveLength(SERVICES.length * 5 + 1 + 2);
    const chosen = selectors.filter((wanted) =>
      pods.some((labels) => Object.entries(wanted).every(([key, value]) => labels[key] === value)),
    );
    expect(chosen).toEqual([]);
  }
  // Pods of both have the role of the one account, which neither release may remove.
  expect(ofKind([...blue.manifests, ...green.manifests], 'ServiceAccount')).toEqual([]);
  const pods = podsOf(green.manifests);
  expect(pods.map((pod) => pod.serviceAccountName)).toEqual(pods.map(() => 'tandem'));
});

test.runIf(python)('a service of a set may be left to the other one, and no scaler starts it', async () => {
  const services = { capture: { replicas: 0 }, writer: { replicas: 0 } };
  const { manifests, faults } = await render({ services, autoscaling: { enabled: true } });
  expect(faults).toEqual([]);
  const replicas = ofKind(manifests, 'Deployment').map((each) => [componentOf(each), each.spec.replicas]);
  expect(replicas).toContainEqual(['capture', 0]);
  expect(replicas).toContainEqual(['writer', 0]);
  expect(ofKind(manifests, 'ScaledObject').map(componentOf)).toEqual(['bulk', 'dispatcher', 'extractor']);
  expect(ofKind(manifests, 'PodDisruptionBudget').map(componentOf)).not.toContain('capture');
});
