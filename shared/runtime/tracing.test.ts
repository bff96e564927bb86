import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openOtlpCollector } from '../../test/support/otlp-collector.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { type Env, envReader } from './env.ts';
import { SetupError } from './errors.ts';
import { createLog, silentLog } from './log.ts';
import { startTracing } from './start-tracing.ts';
import { currentTrace, inSpan, isTracing, runInSpan, startSpan } from './tracing.ts';
import { readTracing } from './tracing-config.ts';

const read = (env: Env) => {
  const reader = envReader(env);
  return reader.done(readTracing(reader));
};

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = `00-${TRACE}-00f067aa0ba902b7-01`;

test('the endpoint is a base, and that of traces is the whole address', () => {
  const urlOf = (env: Env) => read(env).url?.reveal();
  expect(urlOf({})).toBeUndefined();
  expect(urlOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318/' })).toBe('http://c:4318/v1/traces');
  expect(
    urlOf({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://t/x',
    }),
  ).toBe('https://t/x');
  expect(urlOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_SDK_DISABLED: 'true' })).toBeUndefined();
  expect(urlOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_TRACES_EXPORTER: 'none' })).toBeUndefined();
});

test('wrong settings are named', () => {
  const problem = () =>
    read({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
      OTEL_TRACES_SAMPLER: 'sometimes',
      OTEL_TRACES_SAMPLER_ARG: '2',
    });
  expect(problem).toThrow(SetupError);
  expect(problem).toThrow(
    /OTEL_EXPORTER_OTLP_ENDPOINT must be(?:.|\n)*OTEL_TRACES_SAMPLER_ARG must be(?:.|\n)*OTEL_TRACES_SAMPLER must be one of/,
  );
});

test('without an endpoint there are no spans, and work is only done', async () => {
  await using _off = await startTracing(read({}), 'api', silentLog);
  expect(isTracing()).toBe(false);
  expect(startSpan('a', {})).toBeUndefined();
  expect(currentTrace()).toBeUndefined();
  expect(await inSpan('a', { parent: CALLER }, async (span) => span)).toBeUndefined();
});

test('spans are of their parent’s trace, log lines in them say which, and the last ones are sent at the end', async () => {
  await using collector = await openOtlpCollector();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '600000' };
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', {}, (line) => void lines.push(JSON.parse(line) as Record<string, unknown>));
  {
    await using _tracing = await startTracing(read(env), 'api', silentLog);
    const failure = new RangeError('out of it');
    await expect(
      inSpan('outer', { kind: 'consumer', parent: CALLER, links: [CALLER, 'none'] }, async (outer) => {
        await Promise.resolve();
        log.info('happened');
        const inner = startSpan('inner', { parent: outer?.traceparent });
        if (inner !== undefined) runInSpan(inner, () => log.info('happened'));
        inner?.end();
        throw failure;
      }),
    ).rejects.toBe(failure);
    log.info('happened');
    // Where no trace came in, none begins by itself.
    expect(await inSpan('orphan', { parent: null }, async (span) => span)).toBeUndefined();
    // What a client sent as one, and is none.
    startSpan('own', { parent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` })?.end();
    expect(startSpan('not sampled', { parent: `${CALLER.slice(0, -1)}0` })).toBeUndefined();
  }
  expect(isTracing()).toBe(false);
  const [inner, outer, own, ...others] = collector.spans;
  expect(others).toEqual([]);
  expect(outer).toMatchObject({
    service: 'tandem-api',
    name: 'outer',
    traceId: TRACE,
    parentSpanId: '00f067aa0ba902b7',
    kind: 5,
    isFailed: true,
    links: [{ traceId: TRACE, spanId: '00f067aa0ba902b7' }],
  });
  expect(inner).toMatchObject({ name: 'inner', traceId: TRACE, parentSpanId: outer?.spanId });
  expect(own).toMatchObject({ name: 'own', parentSpanId: '' });
  expect(lines.map(({ traceId, spanId }) => [traceId, spanId])).toEqual([
    [TRACE, outer?.spanId],
    [TRACE, inner?.spanId],
    [undefined, undefined],
  ]);
});

test('the samplers take all traces, none, or a share that follows the trace’s ID', async () => {
  await using collector = await openOtlpCollector();
  const of = async (env: Env, parent?: string) => {
    const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env };
    await using _tracing = await startTracing(read(settings), 'api', silentLog);
    const span = startSpan('asked', { parent });
    span?.end();
    return span !== undefined;
  };
  const unsampled = `${CALLER.slice(0, -1)}0`;
  expect(await of({})).toBe(true);
  expect(await of({ OTEL_TRACES_SAMPLER: 'always_off' }, CALLER)).toBe(false);
  expect(await of({ OTEL_TRACES_SAMPLER: 'always_on' }, unsampled)).toBe(true);
  const share = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' };
  expect(await of(share)).toBe(false);
  expect(await of(share, CALLER)).toBe(true);
  expect(await of({ OTEL_TRACES_SAMPLER: 'traceidratio' }, unsampled)).toBe(true);
});

async function startCollector(listener: RequestListener) {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_BSP_SCHEDULE_DELAY: '10' },
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

test('a collector that never answers holds up no end', { timeout: 300_000 }, async () => {
  const asked = Promise.withResolvers<void>();
  using collector = await startCollector(() => asked.resolve());
  // The exporter waits for ten minutes, which is longer than the test may take.
  const env = { ...collector.env, OTEL_BSP_MAX_QUEUE_SIZE: '100', OTEL_EXPORTER_OTLP_TIMEOUT: '600000' };
  const open = await startTracing(read(env), 'api', silentLog);
  for (let count = 0; count < 10_000; count += 1) startSpan('lost', {})?.end();
  await asked.promise;
  await open[Symbol.asyncDispose]();
  expect(isTracing()).toBe(false);
});

test('a collector that refuses all costs the spans and one line a minute', async () => {
  let requestCount = 0;
  using collector = await startCollector((_request, response) => {
    requestCount += 1;
    response.writeHead(400).end();
  });
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', {}, (line) => void lines.push(JSON.parse(line) as Record<string, unknown>));
  {
    await using _tracing = await startTracing(read(collector.env), 'api', log);
    for (const count of [1, 2, 3]) {
      startSpan('lost', {})?.end();
      await waitFor('a request', () => requestCount >= count, 120_000);
    }
  }
  expect(lines.map(({ level, event, spanCount }) => ({ level, event, spanCount }))).toEqual([
    { level: 'warn', event: 'traces.dropped', spanCount: 1 },
  ]);
});

/** Prints the URL of each module that is loaded. */
const LISTING = `data:text/javascript,${encodeURIComponent(
  "import { registerHooks } from 'node:module'; registerHooks({ load(url, context, next) { process.stdout.write(url + '\\n'); return next(url, context); } });",
)}`;

async function modulesOf(service: string, env: Env): Promise<string[]> {
  const main = fileURLToPath(new URL(`../../services/${service}/main.ts`, import.meta.url));
  const child = spawn(process.execPath, ['--import', LISTING, main], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child, 'close');
  return Buffer.concat(chunks)
    .toString()
    .split('\n')
    .filter((url) => url !== '');
}

/** Enough to begin, and a catalog that is not there ends it. */
const BEGINNING: Env = {
  CONTROL_DATABASE_URL: 'postgres://127.0.0.1:1/none',
  KAFKA_BROKERS: '127.0.0.1:1',
  SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1',
  SECRET_KEY: 's'.repeat(32),
  CATALOG: '/nowhere/catalog.yaml',
};

test('a service with tracing off loads nothing of OpenTelemetry’s SDK', { timeout: 120_000 }, async () => {
  const isSdk = (url: string) => /@opentelemetry\/(?!api\/)|tracing-sdk/.test(url);
  const off = await modulesOf('dispatcher', BEGINNING);
  expect(off.filter((url) => url.endsWith('/services/dispatcher/build.ts'))).toHaveLength(1);
  expect(off.filter(isSdk)).toEqual([]);
  const on = await modulesOf('dispatcher', {
    ...BEGINNING,
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
  });
  expect(on.some(isSdk)).toBe(true);
});
