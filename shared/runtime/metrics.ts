import {
  collectDefaultMetrics,
  Gauge,
  Counter as PromCounter,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(value: number, labels?: Labels): void;
}

export interface Histogram {
  observe(value: number): void;
}

/** One value of a gauge as it is now. */
export interface Sample {
  readonly value: number;
  readonly labels?: Labels;
}

/**
 * The metrics of one process, in the text format of Prometheus. Each name is registered once: a second registration
 * throws. Label names are declared with the metric, and label values come from closed sets, so the number of series is
 * bounded.
 */
export interface Metrics {
  /** Only grows. `name` ends in `_total`. Starts at 0 when it has no labels. */
  counter(name: string, help: string, labelNames?: readonly string[]): Counter;
  /** `buckets`: upper bounds, ascending. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
  /** `read` runs at each scrape. No sample, or a failure, leaves the metric out: an unknown value is not a zero. */
  gauge(
    name: string,
    help: string,
    read: () => readonly Sample[] | Promise<readonly Sample[]>,
    labelNames?: readonly string[],
  ): void;
  /** Every metric with its HELP and TYPE. Never rejects. */
  text(): Promise<string>;
}

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Each sample wakes the process, also an idle one. */
const EVENT_LOOP_SAMPLE_MS = 20;

export interface MetricsOptions {
  /** Also measures CPU, memory, garbage collection and the event loop of the process, under the names usual for Node. */
  readonly withProcess?: boolean;
}

export function createMetrics({ withProcess = false }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (withProcess) {
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  }
  const registers = [registry];
  return {
    counter(name, help, labelNames = []) {
      const counter = new PromCounter({ name, help, labelNames: [...labelNames], registers });
      return { add: (value, labels = {}) => counter.inc({ ...labels }, value) };
    },
    histogram(name, help, buckets) {
      const histogram = new PromHistogram({ name, help, buckets: [...buckets], registers });
      return { observe: (value) => histogram.observe(value) };
    },
    gauge(name, help, read, labelNames = []) {
      const gauge = new Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers,
        async collect() {
          const samples = await Promise.resolve()
            .then(read)
            .catch((): readonly Sample[] => []);
          gauge.reset();
          // A gauge without labels is 0 after a reset.
          if (labelNames.length === 0) gauge.remove();
          for (const { value, labels = {} } of samples) gauge.set({ ...labels }, value);
        },
      });
    },
    text: () => registry.metrics(),
  };
}
