import { expect, test } from 'vitest';
import { openHealthServer } from './health.ts';
import { createMetrics } from './metrics.ts';

function valuesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

test('counters add up by label, and histograms count by bucket', async () => {
  const metrics = createMetrics();
  const calls = metrics.counter('calls_total', 'Calls.', ['outcome']);
  const seconds = metrics.histogram('seconds', 'Time.', [0.1, 1]);
  calls.add(2, { outcome: 'ok' });
  calls.add(1, { outcome: 'ok' });
  calls.add(1, { outcome: 'failed' });
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
  expect(valuesOf(await metrics.text())).toEqual([
    'calls_total{outcome="ok"} 3',
    'calls_total{outcome="failed"} 1',
    'seconds_bucket{le="0.1"} 2',
    'seconds_bucket{le="1"} 3',
    'seconds_bucket{le="+Inf"} 4',
    'seconds_sum 7.65',
    'seconds_count 4',
  ]);
});

test('a gauge has the samples of this scrape only', async () => {
  const metrics = createMetrics();
  let samples = [{ value: 1, labels: { state: 'a' } }];
  metrics.gauge('depth', 'Now.', () => samples, ['state']);
  expect(valuesOf(await metrics.text())).toEqual(['depth{state="a"} 1']);
  samples = [{ value: 2, labels: { state: 'b' } }];
  expect(valuesOf(await metrics.text())).toEqual(['depth{state="b"} 2']);
});

test('a value that can not be read is left out, and hinders no other', async () => {
  const metrics = createMetrics();
  metrics.gauge('broken', 'Fails.', () => Promise.reject(new Error('away')));
  metrics.gauge('thrown', 'Fails too.', () => {
    throw new Error('away');
  });
  metrics.gauge('unknown', 'Has no value yet.', () => []);
  metrics.counter('fine_total', 'Works.');
  expect(valuesOf(await metrics.text())).toEqual(['fine_total 0']);
});

test('a name is registered once', () => {
  const metrics = createMetrics();
  metrics.counter('a_total', 'A.');
  expect(() => metrics.counter('a_total', 'Again.')).toThrow(/a_total/);
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
