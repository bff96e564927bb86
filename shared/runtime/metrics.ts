/** A value per combination of labels, in Prometheus's text format 0.0.4. No dependency: the format is a page long. */

export type Labels = Readonly<Record<string, string>>;

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

/** What one process tells of itself. Names are given once: a second use of one is a mistake, and throws a RangeError. */
export interface Metrics {
  /** Only grows. `name` ends in `_total`. Told as 0 before the first `add` when it has no labels. */
  counter(name: string, help: string): Counter;
  /** `buckets`: upper bounds, ascending. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
  /** Read when it is asked for; no sample, or a failure, leaves it out: an unknown value is not a zero. */
  gauge(name: string, help: string, read: () => readonly Sample[] | Promise<readonly Sample[]>): void;
  /** All of it, each metric with its HELP and TYPE. Never rejects. */
  text(): Promise<string>;
}

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Label values come from closed sets; this bounds what a mistake would cost. */
const MAX_SERIES = 1_000;

interface Series {
  readonly labels: Labels;
  value: number;
}

type Family = { readonly head: string; readonly lines: () => string[] | Promise<string[]> };

export function createMetrics(): Metrics {
  const families = new Map<string, Family>();
  const add = (name: string, help: string, type: string, lines: Family['lines']) => {
    if (families.has(name)) throw new RangeError(`the metric ${name} is there already`);
    const text = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    families.set(name, { head: `# HELP ${name} ${text}\n# TYPE ${name} ${type}`, lines });
  };
  return {
    counter(name, help) {
      const series = new Map<string, Series>();
      add(name, help, 'counter', () =>
        series.size === 0
          ? [`${name} 0`]
          : [...series.values()].map(({ labels, value }) => line(name, labels, value)),
      );
      return {
        add(value, labels = {}) {
          const one = seriesOf(series, labels, () => ({ labels, value: 0 }));
          if (one !== undefined) one.value += value;
        },
      };
    },
    histogram(name, help, buckets) {
      const series = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>();
      add(name, help, 'histogram', () =>
        [...series.values()].flatMap((one) => histogramLines(name, buckets, one)),
      );
      return {
        observe(value, labels = {}) {
          const one = seriesOf(series, labels, () => ({
            labels,
            counts: buckets.map(() => 0),
            sum: 0,
            count: 0,
          }));
          if (one === undefined) return;
          one.sum += value;
          one.count += 1;
          const place = buckets.findIndex((bound) => value <= bound);
          if (place >= 0) one.counts[place] = (one.counts[place] ?? 0) + 1;
        },
      };
    },
    gauge(name, help, read) {
      add(name, help, 'gauge', async () => {
        const samples = await Promise.resolve()
          .then(read)
          .catch((): readonly Sample[] => []);
        return samples.map(({ value, labels = {} }) => line(name, labels, value));
      });
    },
    async text() {
      const parts = await Promise.all(
        [...families.values()].map(async ({ head, lines }) => [head, ...(await lines())]),
      );
      return `${parts.flat().join('\n')}\n`;
    },
  };
}

function seriesOf<T>(series: Map<string, T>, labels: Labels, make: () => T): T | undefined {
  const key = JSON.stringify(labels);
  const known = series.get(key);
  if (known !== undefined || series.size >= MAX_SERIES) return known;
  const made = make();
  series.set(key, made);
  return made;
}

function histogramLines(
  name: string,
  buckets: readonly number[],
  { labels, counts, sum, count }: { labels: Labels; counts: number[]; sum: number; count: number },
): string[] {
  let below = 0;
  const lines = buckets.map((bound, place) => {
    below += counts[place] ?? 0;
    return line(`${name}_bucket`, { ...labels, le: String(bound) }, below);
  });
  return [
    ...lines,
    line(`${name}_bucket`, { ...labels, le: '+Inf' }, count),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ];
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${showNumber(value)}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function showNumber(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
