import { AsyncLocalStorage } from 'node:async_hooks';
import { hostname } from 'node:os';
import {
  type Attributes,
  type Context,
  DiagLogLevel,
  diag,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { SecretUrl } from './env.ts';
import type { Log } from './log.ts';
import { sleep } from './sleep.ts';
import type { OpenSpan, SpanAttributes, Tracing } from './tracing.ts';
import type { SamplerName, TracingConfig } from './tracing-config.ts';
import { productVersion } from './version.ts';

// The only file that loads OpenTelemetry's SDK. It is loaded when tracing is on.

export interface OpenTracingConfig extends TracingConfig {
  readonly url: SecretUrl;
  readonly service: string;
}

/** Spans of one request to the collector. */
const MAX_BATCH_SPANS = 512;

/** A collector that is away must not hold up the end of the process. */
const CLOSE_MS = 1_500;

const REPORT_EVERY_MS = 60_000;

const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
} as const;

/** Sends spans to a collector by OTLP over HTTP, in batches. What it does not take in time is dropped. */
export function openTracing(config: OpenTracingConfig, log: Log): Tracing & { close(): Promise<void> } {
  const { url, sampler, ratio, service, serviceName, exportDelayMs, exportTimeoutMs, maxQueuedSpans } =
    config;
  const losses = createLossReport(log);
  const exporter = new OTLPTraceExporter({ url: url.reveal(), timeoutMillis: exportTimeoutMs });
  const processor = new BatchSpanProcessor({
    exporter: reporting(exporter, losses),
    scheduledDelayMillis: exportDelayMs,
    exportTimeoutMillis: exportTimeoutMs,
    maxQueueSize: maxQueuedSpans,
    maxExportBatchSize: Math.min(MAX_BATCH_SPANS, maxQueuedSpans),
  });
  const provider = new TracerProvider({
    sampler: samplerOf(sampler, ratio),
    spanProcessors: [processor],
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': `tandem-${service}`,
          'service.version': productVersion(),
          'service.instance.id': `${hostname()}:${process.pid}`,
        }),
      )
      .merge(detectResources({ detectors: [envDetector] }))
      .merge(resourceFromAttributes(serviceName === undefined ? {} : { 'service.name': serviceName })),
  });
  const tracer = provider.getTracer('tandem', productVersion());
  const running = new AsyncLocalStorage<SpanContext>();
  const contexts = new WeakMap<OpenSpan, SpanContext>();
  return {
    startSpan(name, { kind = 'internal', parent, links = [], attributes = {}, startedAtMs }) {
      const span = tracer.startSpan(
        name,
        {
          kind: KINDS[kind],
          attributes: withoutUndefined(attributes),
          links: links.flatMap((link) => {
            const context = parseTraceparent(link);
            return context === undefined ? [] : [{ context }];
          }),
          ...(startedAtMs === undefined ? {} : { startTime: startedAtMs }),
        },
        contextOf(parent),
      );
      if (!span.isRecording()) return undefined;
      const open = toOpenSpan(span);
      contexts.set(open, span.spanContext());
      return open;
    },
    runIn(span, work) {
      const context = contexts.get(span);
      return context === undefined ? work() : running.run(context, work);
    },
    current() {
      const context = running.getStore();
      if (context === undefined) return undefined;
      const { traceId, spanId } = context;
      return { traceId, spanId, traceparent: formatTraceparent(context) };
    },
    async close() {
      const closed = new AbortController();
      const closing = provider
        .shutdown()
        .catch((error: unknown) => losses.note(0, error))
        .finally(() => closed.abort());
      await Promise.race([closing, sleep(CLOSE_MS, closed.signal)]);
      losses.close();
    },
  };
}

function toOpenSpan(span: Span): OpenSpan {
  return {
    traceparent: formatTraceparent(span.spanContext()),
    rename: (name) => void span.updateName(name),
    setAttributes: (attributes) => void span.setAttributes(withoutUndefined(attributes)),
    fail(error) {
      const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message });
    },
    end() {
      if (span.isRecording()) span.end();
    },
  };
}

function withoutUndefined(attributes: SpanAttributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

function samplerOf(name: SamplerName, ratio: number): Sampler {
  const root = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(ratio),
  }[name.replace('parentbased_', '') as 'always_on' | 'always_off' | 'traceidratio']();
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

function contextOf(parent: string | undefined): Context {
  const context = parent === undefined ? undefined : parseTraceparent(parent);
  return context === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, context);
}

/** Later versions may add fields behind these; `ff` is none. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** @returns undefined for anything but a `traceparent` of the W3C recommendation */
function parseTraceparent(text: string): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] = TRACEPARENT.exec(text) ?? [];
  if (version === '00' && rest !== undefined) return undefined;
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED };
  return trace.isSpanContextValid(context) ? { ...context, isRemote: true } : undefined;
}

function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** Says that spans were lost, at most once a minute. */
interface LossReport {
  note(spanCount: number, error: unknown): void;
  close(): void;
}

function createLossReport(log: Log): LossReport {
  let spanCount = 0;
  let last: unknown;
  let saidAtMs = Number.NEGATIVE_INFINITY;
  const note = (count: number, error: unknown) => {
    spanCount += count;
    last = error ?? last;
    if (performance.now() - saidAtMs < REPORT_EVERY_MS) return;
    saidAtMs = performance.now();
    log.warn('traces.dropped', { spanCount, error: last });
    spanCount = 0;
  };
  // The SDK reports a full queue here, and each failed request once more.
  const onDiagnostic = (message: string) => {
    const [, dropped] = /Dropped (\d+) spans/.exec(message) ?? [];
    if (dropped !== undefined) note(Number(dropped), new Error(message));
  };
  diag.setLogger(
    {
      error: onDiagnostic,
      warn: onDiagnostic,
      info: () => undefined,
      debug: () => undefined,
      verbose: () => undefined,
    },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  return { note, close: () => diag.disable() };
}

const EXPORTED = 0;

/** The same exporter, which reports what the collector did not take. */
function reporting(exporter: SpanExporter, losses: LossReport): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.code !== EXPORTED) losses.note(spans.length, result.error);
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}
