import { expect, test } from 'vitest';
import { openHealthServer } from './health.ts';
import { createMetrics } from './metrics.ts';
import { addProcessMetrics } from './process-metrics.ts';

const LINE =
  /^[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="(\\[\\n"]|[^"\\\n])*",?)*\})? (-?\d+(\.\d+)?(e[+-]?\d+)?|NaN|[+-]Inf)$/;

test('every line is one of the format, and each metric has its HELP and TYPE before it', async () => {
  const metrics = createMetrics();
  const calls = metrics.counter('calls_total', 'Calls,\nin all.');
  const seconds = metrics.histogram('seconds', 'Time.', [0.1, 1]);
  metrics.gauge('depth', 'Now.', () => [{ value: Number.POSITIVE_INFINITY, labels: { of: 'a "b" \\ \n' } }]);
  calls.add(2, { outcome: 'ok' });
  calls.add(1, { outcome: 'ok' });
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
  const text = await metrics.text();
  expect(text).toBe(
    [
      '# HELP calls_total Calls,\\nin all.',
      '# TYPE calls_total counter',
      'calls_total{outcome="ok"} 3',
      '# HELP seconds Time.',
      '# TYPE seconds histogram',
      'seconds_bucket{le="0.1"} 2',
      'seconds_bucket{le="1"} 3',
      'seconds_bucket{le="+Inf"} 4',
      'seconds_sum 7.65',
      'seconds_count 4',
      '# HELP depth Now.',
      '# TYPE depth gauge',
      'depth{of="a \\"b\\" \\\\ \\n"} +Inf',
      '',
    ].join('\n'),
  );
  for (const line of text.trimEnd().split('\n')) if (!line.startsWith('#')) expect(line).toMatch(LINE);
});

test('what can not be read is left out, and hinders nothing else', async () => {
  const metrics = createMetrics();
  metrics.gauge('broken', 'Fails.', () => Promise.reject(new Error('away')));
  metrics.gauge('thrown', 'Fails too.', () => {
    throw new Error('away');
  });
  metrics.counter('fine_total', 'Works.');
  const values = (await metrics.text()).split('\n').filter((line) => !line.startsWith('#'));
  expect(values).toEqual(['fine_total 0', '']);
});

test('a name is given once, and a mistake in labels does not fill the memory', async () => {
  const metrics = createMetrics();
  const counter = metrics.counter('a_total', 'A.');
  expect(() => metrics.counter('a_total', 'Again.')).toThrow(RangeError);
  for (let id = 0; id < 5_000; id += 1) counter.add(1, { id: String(id) });
  expect((await metrics.text()).split('\n').length).toBeLessThan(1_010);
});

test('every service serves them beside its probes, with what its process takes', async () => {
  const metrics = createMetrics();
  const health = { live: true, ready: true, metrics };
  using _process = addProcessMetrics(metrics, health);
  const server = await openHealthServer(health, 0, '127.0.0.1');
  try {
    const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    const text = await answer.text();
    expect(text).toContain('tandem_ready 1');
    for (const line of text.trimEnd().split('\n')) if (!line.startsWith('#')) expect(line).toMatch(LINE);
  } finally {
    await server.close();
  }
});
