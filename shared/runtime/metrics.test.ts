import { expect, test } from 'vitest';
import { openHealthServer } from './health.ts';
import { createLog, silentLog } from './log.ts';
import { createMetrics } from './metrics.ts';
import { addProcessMetrics } from './process-metrics.ts';

function valuesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

const spec = { help: 'Of a test.', normal: 'any' };

test('counters add up by label, and histograms count by bucket', async () => {
  const metrics = createMetrics();
  const calls = metrics.counter({
    ...spec,
    name: 'calls_total',
    type: 'counter',
    labels: { outcome: 'any', way: ['in', 'out'] },
  });
  const seconds = metrics.histogram({
    ...spec,
    name: 'seconds',
    type: 'histogram',
    labels: { way: ['in', 'out'] },
    buckets: [0.1, 1],
  });
  calls.add(2, { outcome: 'ok', way: 'in' });
  calls.add(1, { outcome: 'ok', way: 'in' });
  calls.add(1, { outcome: 'failed', way: 'out' });
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value, { way: 'in' });
  expect(valuesOf(await metrics.text())).toEqual([
    'calls_total{outcome="ok",way="in"} 3',
    'calls_total{outcome="failed",way="out"} 1',
    'seconds_bucket{le="0.1",way="in"} 2',
    'seconds_bucket{le="1",way="in"} 3',
    'seconds_bucket{le="+Inf",way="in"} 4',
    'seconds_sum{way="in"} 7.65',
    'seconds_count{way="in"} 4',
  ]);
});

test('a counter whose labels are known begins at 0 with each, so that its first increase is seen', async () => {
  const metrics = createMetrics();
  const labels = { way: ['in', 'out'], end: ['ok', 'failed'] };
  metrics.counter({ ...spec, name: 'calls_total', type: 'counter', labels });
  metrics.counter({ ...spec, name: 'all_total', type: 'counter' });
  expect(valuesOf(await metrics.text())).toEqual([
    'calls_total{way="in",end="ok"} 0',
    'calls_total{way="in",end="failed"} 0',
    'calls_total{way="out",end="ok"} 0',
    'calls_total{way="out",end="failed"} 0',
    'all_total 0',
  ]);
});

test('a gauge has the samples of this scrape only', async () => {
  const metrics = createMetrics();
  let samples = [{ value: 1, labels: { state: 'a' } }];
  metrics.gauge({ ...spec, name: 'depth', type: 'gauge', labels: { state: ['a', 'b'] } }, () => samples);
  expect(valuesOf(await metrics.text())).toEqual(['depth{state="a"} 1']);
  samples = [{ value: 2, labels: { state: 'b' } }];
  expect(valuesOf(await metrics.text())).toEqual(['depth{state="b"} 2']);
});

test('a value that can not be read is left out, and hinders no other', async () => {
  const metrics = createMetrics();
  const gauge = (name: string) => ({ ...spec, name, type: 'gauge' }) as const;
  metrics.gauge(gauge('broken'), () => Promise.reject(new Error('away')));
  metrics.gauge(gauge('thrown'), () => {
    throw new Error('away');
  });
  metrics.gauge(gauge('unknown'), () => []);
  metrics.counter({ ...spec, name: 'fine_total', type: 'counter' });
  expect(valuesOf(await metrics.text())).toEqual(['fine_total 0']);
});

test('a name is registered once', () => {
  const metrics = createMetrics();
  const counter = { ...spec, name: 'a_total', type: 'counter' } as const;
  metrics.counter(counter);
  expect(() => metrics.counter(counter)).toThrow(/a_total/);
});

test('warnings and errors are counted by event, also those of a child and those that the level hides', async () => {
  const health = { live: true, ready: false, metrics: createMetrics() };
  const lines: string[] = [];
  const log = addProcessMetrics(
    health,
    createLog('error', {}, (line) => lines.push(line)),
  );
  log.warn('pool.busy');
  log.child({ jobId: 'exp_1' }).error('export.failed', { code: 'table_locked' });
  log.info('service.ready');
  const values = valuesOf(await health.metrics.text());
  expect(values).toContain('tandem_log_lines_total{level="warn",event="pool.busy"} 1');
  expect(values).toContain('tandem_log_lines_total{level="error",event="export.failed"} 1');
  expect(values).toContain('tandem_log_lines_total{level="error",event="changes.lost"} 0');
  expect(values).toContain('tandem_ready 0');
  expect(values.join()).not.toContain('service.ready');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ event: 'export.failed', jobId: 'exp_1' }]);
});

test('a process is ready when its workers run and it serves requests, as its probe says', async () => {
  let isServing = true;
  const health = {
    live: true,
    ready: false,
    isServing: async () => isServing,
    metrics: createMetrics(),
  };
  addProcessMetrics(health, silentLog);
  const ready = async () =>
    valuesOf(await health.metrics.text()).find((line) => line.startsWith('tandem_ready'));
  expect(await ready()).toBe('tandem_ready 0');
  health.ready = true;
  expect(await ready()).toBe('tandem_ready 1');
  isServing = false;
  expect(await ready()).toBe('tandem_ready 0');
});

test('every service serves them beside its probes, with those of its process under the usual names', async () => {
  const health = { live: true, ready: true, metrics: createMetrics({ withProcess: true }) };
  const server = await openHealthServer(health, 0, '127.0.0.1');
  try {
    const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    const text = await answer.text();
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'process_start_time_seconds',
      'nodejs_heap_size_used_bytes',
      'nodejs_eventloop_lag_p99_seconds',
      'nodejs_gc_duration_seconds',
    ]) {
      expect(text).toContain(`# TYPE ${name} `);
    }
  } finally {
    await server.close();
  }
});
