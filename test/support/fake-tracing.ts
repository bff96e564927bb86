import { type OpenSpan, type SpanStart, turnOn } from '../../shared/runtime/tracing.ts';

/** A span that code opened, as it left it. */
export interface FakeSpan extends OpenSpan {
  readonly name: string;
  readonly start: SpanStart;
  readonly isOpen: boolean;
  readonly failures: readonly unknown[];
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Tracing that keeps the spans here, for the code that opens them. Every trace is sampled. */
export function startFakeTracing(): Disposable & { readonly spans: readonly FakeSpan[] } {
  const spans: FakeSpan[] = [];
  const current: FakeSpan[] = [];
  const turnOff = turnOn({
    startSpan(name, start) {
      const failures: unknown[] = [];
      const attributes: Record<string, unknown> = { ...start.attributes };
      let isOpen = true;
      const span: FakeSpan = {
        name,
        start,
        failures,
        attributes,
        traceparent: `span-${spans.length + 1}`,
        get isOpen() {
          return isOpen;
        },
        rename: () => undefined,
        setAttributes: (more) => void Object.assign(attributes, more),
        fail: (error) => void failures.push(error),
        end() {
          isOpen = false;
        },
      };
      spans.push(span);
      return span;
    },
    // The work's first synchronous part alone, which is all that a unit test of ours asks for.
    runIn(span, work) {
      current.push(span as FakeSpan);
      try {
        return work();
      } finally {
        current.pop();
      }
    },
    current() {
      const span = current.at(-1);
      return span && { traceId: 'trace', spanId: span.traceparent, traceparent: span.traceparent };
    },
  });
  return { spans, [Symbol.dispose]: turnOff };
}
