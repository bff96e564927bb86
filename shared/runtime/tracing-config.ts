import { type EnvReader, SecretUrl } from './env.ts';

const SAMPLERS = [
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
  'always_on',
  'always_off',
  'traceidratio',
] as const;

export type SamplerName = (typeof SAMPLERS)[number];

export interface TracingConfig {
  /** Where spans are posted; undefined: tracing is off. */
  readonly url: SecretUrl | undefined;
  readonly sampler: SamplerName;
  /** Share of traces that the samplers with a ratio take. */
  readonly ratio: number;
  /** Undefined: `tandem-<service>`. */
  readonly serviceName: string | undefined;
  /** Between two exports. */
  readonly exportDelayMs: number;
  /** Of one request to the collector, with its repetitions. */
  readonly exportTimeoutMs: number;
  /** Spans that wait for an export; more are dropped. */
  readonly maxQueuedSpans: number;
}

const TRACES_PATH = 'v1/traces';

/** OpenTelemetry's usual variables. Those of the exporter's connection are read by the exporter itself. */
export function readTracing(read: EnvReader): TracingConfig {
  const endpoint = read.optional('OTEL_EXPORTER_OTLP_ENDPOINT');
  const ofTraces = read.optional('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  const text = ofTraces ?? (endpoint === undefined ? undefined : withPath(endpoint));
  const isUrl = text === undefined || /^https?:$/.test(URL.parse(text)?.protocol ?? '');
  if (!isUrl) {
    const name =
      ofTraces === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
    read.refuse(`${name} must be an http or https URL`);
  }
  const isOff =
    read.boolean('OTEL_SDK_DISABLED', false) ||
    read.oneOf('OTEL_TRACES_EXPORTER', ['otlp', 'none'], 'otlp') === 'none';
  const argument = read.optional('OTEL_TRACES_SAMPLER_ARG');
  const ratio = Number(argument ?? '1');
  if (!(ratio >= 0 && ratio <= 1)) {
    read.refuse(`OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not "${argument}"`);
  }
  return {
    sampler: read.oneOf('OTEL_TRACES_SAMPLER', SAMPLERS, 'parentbased_always_on'),
    ratio,
    serviceName: read.optional('OTEL_SERVICE_NAME'),
    exportDelayMs: read.integer('OTEL_BSP_SCHEDULE_DELAY', { default: 5_000, min: 10, max: 600_000 }),
    exportTimeoutMs: read.integer('OTEL_EXPORTER_OTLP_TIMEOUT', { default: 10_000, min: 10, max: 600_000 }),
    maxQueuedSpans: read.integer('OTEL_BSP_MAX_QUEUE_SIZE', { default: 2_048, min: 1, max: 100_000 }),
    url: isOff || text === undefined || !isUrl ? undefined : new SecretUrl(text),
  };
}

function withPath(endpoint: string): string {
  return `${endpoint.replace(/\/+$/, '')}/${TRACES_PATH}`;
}
