import { expect, test } from 'vitest';
import { BOTTLENECKS } from '../../status/bottleneck-codes.ts';
import { ANCHORS, runbookEntry, runbookPage } from './runbook.ts';

const to = { href: (path: string) => `/v1${path}`, asset: (name: string) => name };

test.each(BOTTLENECKS)('the runbook says what %s means and what to do', (code) => {
  const entry = runbookEntry(code, to);
  expect(String(entry?.meaning).length).toBeGreaterThan(10);
  expect(String(entry?.action).length).toBeGreaterThan(5);
});

test('links of an entry lead to the section, under the public prefix', () => {
  expect(String(runbookEntry('feed_gap', to)?.action)).toBe(
    '<a href="/v1/dashboard/operator/runbook#gap-possible">Gap possible</a>',
  );
  expect(runbookEntry('no_such_code', to)).toBeUndefined();
});

test('every link of the runbook leads to a section that is there, and pages link to such sections', () => {
  const pages = { runbook: runbookPage('runbook', to), configuration: runbookPage('configuration', to) };
  const ids = Object.fromEntries(
    Object.entries(pages).map(([name, { headings }]) => [name, headings.map(({ id }) => id)]),
  );
  for (const [name, { html }] of Object.entries(pages)) {
    const targets = [...html.text.matchAll(/<a href="([^"]+)"/g)].map(([, target = '']) => target);
    expect(targets.length, name).toBeGreaterThan(2);
    for (const target of targets) {
      const [path = '', anchor] = target.split('#', 2);
      if (/^https?:/.test(path)) continue;
      const page = path.endsWith('/configuration') ? 'configuration' : 'runbook';
      expect(path, target).toMatch(/^\/v1\/dashboard\/operator\/runbook(\/configuration)?$/);
      if (anchor !== undefined) expect(ids[page], target).toContain(anchor);
    }
  }
  for (const anchor of Object.values(ANCHORS)) expect(ids.runbook).toContain(anchor);
});
