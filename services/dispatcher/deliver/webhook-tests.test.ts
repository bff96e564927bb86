import { expect, test } from 'vitest';
import type { WebhookTestResult } from '../../../shared/control/webhooks/test-deliveries.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import type { EndpointSettings } from '../endpoints/endpoint.ts';
import { NO_HEADERS } from '../send/kept-headers.ts';
import { createWebhookTests, type WebhookTest, type WebhookTestDeps } from './webhook-tests.ts';

const settings: EndpointSettings = {
  id: 'whk_1',
  accountId: 'acct_1',
  url: 'https://shop.example/hook',
  headers: {},
  selection: { patterns: ['*'], handOff: undefined },
  maxInFlight: 1,
  rateLimit: undefined,
  batching: undefined,
  order: 'record',
  isActive: false,
  keys: [{ key: secretToKey('whsec_c2VjcmV0'), expiresAtMs: Number.POSITIVE_INFINITY }],
  settingsVersion: 1,
  cursorEpoch: 0,
  leaseEpoch: 1,
};
const asked: WebhookTest = { settings, eventId: 'test_1', payload: '{}' };

/** Runs the worker over the given tests until each has a result, which takes a stop that waits for what is under way. */
async function run(tests: WebhookTest[], part: Partial<WebhookTestDeps> = {}) {
  const results: WebhookTestResult[] = [];
  const sent: string[] = [];
  const stop = new AbortController();
  const worker = createWebhookTests({
    claim: async () => {
      stop.abort();
      return tests;
    },
    saveResult: async (_test, result) => void results.push(result),
    send: async ({ headers }) => {
      sent.push(headers['webhook-id'] ?? '');
      return {
        kind: 'answered',
        status: 503,
        retryAfter: '60',
        excerpt: 'later',
        durationMs: 1.5,
        isCut: false,
        headers: NO_HEADERS,
      };
    },
    findUrlProblem: () => undefined,
    noteAttempt: () => undefined,
    now: () => 0,
    log: silentLog,
    ...part,
  });
  await worker.run(stop.signal);
  return { results, sent };
}

test('a test is finished while stopping, sent once, and its outcome is the answer’s', async () => {
  const { results, sent } = await run([asked]);
  expect(sent).toEqual(['test_1']);
  expect(results).toEqual([
    {
      started_at: '1970-01-01T00:00:00.000Z',
      duration_ms: 2,
      status: 503,
      outcome: 'failed',
      excerpt: 'later',
    },
  ]);
});

test('what may not be reached is not asked, and what can not be signed is not sent', async () => {
  const { results, sent } = await run([asked], { findUrlProblem: () => 'leads to a private address' });
  expect(results[0]).toMatchObject({ outcome: 'invalid_url', status: null });
  const unsigned = await run([{ ...asked, settings: { ...settings, keys: [] } }]);
  expect(unsigned.results[0]).toMatchObject({ outcome: 'aborted', status: null });
  expect([...sent, ...unsigned.sent]).toEqual([]);
});

test('a result that can not be saved holds up nobody', async () => {
  const saveResult = async () => {
    throw new Error('the control store is away');
  };
  await expect(run([asked, { ...asked, eventId: 'test_2' }], { saveResult })).resolves.toMatchObject({
    sent: ['test_1', 'test_2'],
  });
});
