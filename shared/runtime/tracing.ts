/** What a span is to its neighbours, by OpenTelemetry's names. */
export type SpanKind = 'server' | 'client' | 'producer' | 'consumer' | 'internal';

/** Names are those of OpenTelemetry where it has one, otherwise they begin with `tandem.`. An undefined one is left out. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanStart {
  /** `internal` by default. */
  readonly kind?: SpanKind;
  /** The parent's `traceparent`. Without one, or with one that is no `traceparent`, a trace begins. */
  readonly parent?: string | undefined;
  /** The `traceparent` of each span that led to this one besides its parent. */
  readonly links?: readonly string[];
  readonly attributes?: SpanAttributes;
  /** Epoch milliseconds; now by default. */
  readonly startedAtMs?: number;
}

/** An open span of a trace that is sampled. */
export interface OpenSpan {
  /** In W3C form, for children in other processes. */
  readonly traceparent: string;
  rename(name: string): void;
  setAttributes(attributes: SpanAttributes): void;
  /** Marks what the span stands for as failed. */
  fail(error: unknown): void;
  /** A second call does nothing. */
  end(): void;
}

/** The span that code runs in. */
export interface CurrentTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceparent: string;
}

export interface Tracing {
  /** @returns undefined when the trace is not sampled */
  startSpan(name: string, start: SpanStart): OpenSpan | undefined;
  /** Runs `work`, and everything that it starts, in the span. */
  runIn<T>(span: OpenSpan, work: () => T): T;
  current(): CurrentTrace | undefined;
}

/** One for the process, because log lines and messages are traced wherever they are written. Undefined: tracing is off. */
let tracing: Tracing | undefined;

/** @returns what turns it off again */
export function turnOn(on: Tracing): () => void {
  if (tracing !== undefined) throw new Error('tracing is on already');
  tracing = on;
  return () => {
    tracing = undefined;
  };
}

/** Ask it before anything that costs a change or a request more than this question. */
export function isTracing(): boolean {
  return tracing !== undefined;
}

/** @returns undefined when the trace is not sampled, or tracing is off */
export function startSpan(name: string, start: SpanStart): OpenSpan | undefined {
  return tracing?.startSpan(name, start);
}

export function runInSpan<T>(span: OpenSpan, work: () => T): T {
  return tracing === undefined ? work() : tracing.runIn(span, work);
}

export function currentTrace(): CurrentTrace | undefined {
  return tracing?.current();
}

/**
 * Does work in a span of its parent's trace. Without a parent there is no span: traces begin where requests and commits
 * come in, and nowhere else. An error of the work fails the span.
 */
export async function inSpan<T>(
  name: string,
  start: Omit<SpanStart, 'parent'> & { readonly parent: string | null | undefined },
  work: (span: OpenSpan | undefined) => Promise<T>,
): Promise<T> {
  const { parent } = start;
  const span = tracing === undefined || parent == null ? undefined : startSpan(name, { ...start, parent });
  if (span === undefined) return work(undefined);
  try {
    return await runInSpan(span, () => work(span));
  } catch (error) {
    span.fail(error);
    throw error;
  } finally {
    span.end();
  }
}
