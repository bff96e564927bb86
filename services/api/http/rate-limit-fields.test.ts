import { expect, test } from 'vitest';
import { problemHeaders } from './problem.ts';
import { RateExceededError, type RatePolicy, rateLimitFields } from './rate-limit-fields.ts';

const burst: RatePolicy = { name: 'burst', quota: 300, per: 'second' };
const lasting: RatePolicy = { name: 'default', quota: 6_000, per: 'minute' };

test('policies and what they still allow are lists of names with parameters', () => {
  const states = [
    { policy: lasting, remaining: 50, resetsInMs: 29_001 },
    { policy: burst, remaining: -1, resetsInMs: 1 },
  ];
  expect(rateLimitFields([lasting, burst], states)).toEqual({
    'ratelimit-policy': '"default";q=6000;w=60, "burst";q=300;w=1',
    ratelimit: '"default";r=50;t=30, "burst";r=0;t=1',
  });
});

test('a refusal has the rate that is used up, and says when to come again', () => {
  const error = new RateExceededError('This key', [lasting, burst], {
    policy: lasting,
    remaining: 0,
    resetsInMs: 12_345,
  });
  expect(error.message).toContain('This key exceeds its limit: more than 6000 requests per minute');
  expect(problemHeaders(error)).toEqual({
    'retry-after': '13',
    'ratelimit-policy': '"default";q=6000;w=60, "burst";q=300;w=1',
    ratelimit: '"default";r=0;t=13',
  });
});
