import {
  collectDefaultMetrics,
  Gauge,
  Counter as PromCounter,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** A metric as it is served, and as deploy/monitoring/metrics.md documents it. */
export interface MetricSpec<Type extends MetricType = MetricType> {
  /** With its unit at the end, and of a counter `_total` behind that. */
  readonly name: string;
  readonly type: Type;
  /** One sentence. */
  readonly help: string;
  /** What an operator sees while all is well. */
  readonly normal: string;
  /**
   * Each label with all its values, or with what bounds them. An account, an endpoint or a URL is never one, so that the number of
   * series does not grow with customers.
   */
  readonly labels?: Readonly<Record<string, readonly string[] | string>>;
  /** Of a histogram: upper bounds, ascending. */
  readonly buckets?: readonly number[];
}

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** Keeps the types of the metrics, so that a counter is not registered as a gauge. */
export const defineMetrics = <const Specs extends Readonly<Record<string, MetricSpec>>>(
  specs: Specs,
): Specs => specs;

export interface Counter {
  add(value: number, labels?: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** One value of a gauge as it is now. */
export interface Sample {
  readonly value: number;
  readonly labels?: Labels;
}

/** The metrics of one process, in the text format of Prometheus. Each name is registered once: a second registration throws. */
export interface Metrics {
  /** Only grows. Starts at 0 where all values of its labels are known, so that its first increase is seen. */
  counter(spec: MetricSpec<'counter'>): Counter;
  histogram(spec: MetricSpec<'histogram'>): Histogram;
  /** `read` runs at each scrape. No sample, or a failure, leaves the metric out: an unknown value is not a zero. */
  gauge(spec: MetricSpec<'gauge'>, read: () => readonly Sample[] | Promise<readonly Sample[]>): void;
  /** Every metric with its HELP and TYPE. Never rejects. */
  text(): Promise<string>;
}

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Each sample wakes the process, also an idle one. */
const EVENT_LOOP_SAMPLE_MS = 20;

/** Gauges that end as counters do, and are the sums of others that are served. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export interface MetricsOptions {
  /** Also measures CPU, memory, garbage collection and the event loop of the process, under the names usual for Node. */
  readonly withProcess?: boolean;
}

export function createMetrics({ withProcess = false }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (withProcess) {
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
    for (const name of MISNAMED) registry.removeSingleMetric(name);
  }
  const declared = ({ name, help, labels = {} }: MetricSpec) => ({
    name,
    help,
    labelNames: Object.keys(labels),
    registers: [registry],
  });
  return {
    counter(spec) {
      const counter = new PromCounter(declared(spec));
      for (const labels of knownLabels(spec)) counter.inc(labels, 0);
      return { add: (value, labels = {}) => counter.inc({ ...labels }, value) };
    },
    histogram(spec) {
      const histogram = new PromHistogram({ ...declared(spec), buckets: [...(spec.buckets ?? [])] });
      return { observe: (value, labels = {}) => histogram.observe({ ...labels }, value) };
    },
    gauge(spec, read) {
      const options = declared(spec);
      const gauge = new Gauge({
        ...options,
        async collect() {
          const samples = await Promise.resolve()
            .then(read)
            .catch((): readonly Sample[] => []);
          gauge.reset();
          // A gauge without labels is 0 after a reset.
          if (options.labelNames.length === 0) gauge.remove();
          for (const { value, labels = {} } of samples) gauge.set({ ...labels }, value);
        },
      });
    },
    text: () => registry.metrics(),
  };
}

/** Every combination of the labels' values; none where a label's values are not listed. */
function knownLabels({ labels = {} }: MetricSpec): Labels[] {
  let known: Labels[] = [{}];
  for (const [name, values] of Object.entries(labels)) {
    if (typeof values === 'string') return [];
    known = known.flatMap((before) => values.map((value) => ({ ...before, [name]: value })));
  }
  return known;
}
