import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderMarkdown } from '../../docs/markdown.ts';
import { outcomeSchema } from '../../webhooks/attempt-response.ts';
import { webhooks } from '../messages/en/webhooks.ts';
import { FAILURE_SECTIONS, failureOf } from './explain-attempt.ts';

test.each([
  ['delivered', 204, undefined],
  ['under_way', undefined, undefined],
  ['failed', 100, 'other_status'],
  ['failed', 304, 'redirect'],
  ['failed', 308, 'redirect'],
  ['failed', 400, 'rejected'],
  ['failed', 401, 'unauthorized'],
  ['failed', 403, 'unauthorized'],
  ['failed', 404, 'not_found'],
  ['failed', 405, 'not_found'],
  ['failed', 410, 'gone'],
  ['failed', 413, 'too_large'],
  ['failed', 422, 'rejected'],
  ['failed', 429, 'throttled'],
  ['failed', 500, 'server_error'],
  ['failed', 503, 'unavailable'],
  ['failed', 600, 'other_status'],
  ['timeout', null, 'timeout'],
  ['aborted', null, 'aborted'],
  ['constructor', null, 'protocol'],
])('%s with status %s is %s', (outcome, status, failure) => {
  expect(failureOf({ outcome, status })).toBe(failure);
});

test('every error class of the API has a text', () => {
  for (const outcome of outcomeSchema.options) {
    if (outcome === 'delivered' || outcome === 'failed') continue;
    expect(failureOf({ outcome, status: null })).toBe(outcome);
  }
});

test('every failure has a section of the guide, and texts', () => {
  const guide = readFileSync(new URL('../../docs/guides/failures.md', import.meta.url), 'utf8');
  const { headings } = renderMarkdown(guide, (target) => target);
  const anchors = new Set(headings.map(({ id }) => id));
  for (const [failure, section] of Object.entries(FAILURE_SECTIONS)) {
    expect([failure, anchors.has(section)]).toEqual([failure, true]);
  }
  const { docs: _, ...texts } = webhooks.failures;
  expect(Object.keys(texts).sort()).toEqual(Object.keys(FAILURE_SECTIONS).sort());
});
