import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import { startFakeTracing } from '../../../test/support/fake-tracing.ts';
import type { Batching, EndpointSettings } from '../endpoints/endpoint.ts';
import { NO_HEADERS } from '../send/kept-headers.ts';
import type { SendOutcome, SendRequest } from '../send/send.ts';
import { type Delivery, NEVER_ASKED } from '../store/progress.ts';
import type { Attempt } from '../store/record-attempts.ts';
import { type AttemptDeps, createAttempt, toRequest } from './attempt.ts';
import { createDeliveryBatch } from './delivery-batch.ts';

const delivered: SendOutcome = {
  kind: 'answered',
  isCut: false,
  headers: NO_HEADERS,
  status: 200,
  retryAfter: undefined,
  excerpt: '',
  durationMs: 3,
};
const delivery = (part: Partial<Delivery> = {}): Delivery => ({
  position: { commitLsn: 1n, index: 0 },
  committedAt: '2026-01-05T00:00:00.000000Z',
  type: 'invoice.created',
  resource: 'invoices',
  record: 'invoices/["1"]',
  payload: '{"n":1}',
  attemptCount: 2,
  readAtMs: 0,
  inlineCharacters: 0,
  pending: undefined,
  nextAttemptAtMs: 0,
  askedXid: NEVER_ASKED,
  ...part,
});

const setUp = (deps: Partial<AttemptDeps> = {}, batching?: Batching) => {
  const sent: SendRequest[] = [];
  const noted: Attempt[] = [];
  const stop = new AbortController();
  let mayStart = true;
  const settings = {
    id: 'whk_1',
    accountId: 'acct_1',
    url: 'https://shop.example/hook',
    headers: {},
    batching,
    selection: { patterns: ['invoice.created'], handOff: undefined },
    keys: [{ key: secretToKey('whsec_a2V5'), expiresAtMs: Number.POSITIVE_INFINITY }],
  } as unknown as EndpointSettings;
  const attempt = createAttempt(
    () => settings,
    () => mayStart,
    stop.signal,
    {
      send: async (request) => {
        sent.push(request);
        return delivered;
      },
      readPayload: async () => undefined,
      noteAttempt: (each) => void noted.push(each),
      onSending: () => undefined,
      findUrlProblem: () => undefined,
      singularOf: () => 'invoice',
      now: () => 1_000,
      ...deps,
    },
  );
  return {
    attempt,
    sent,
    noted,
    stop,
    forbid: () => {
      mayStart = false;
    },
  };
};

test('an event is sent as it is, and the try is noted with its number', async () => {
  const { attempt, sent, noted } = setUp();
  expect(await attempt(createDeliveryBatch(delivery()))).toEqual({ kind: 'sent', outcome: delivered });
  expect(sent.map(({ body }) => body.toString())).toEqual(['{"n":1}']);
  expect(noted).toMatchObject([
    { endpointId: 'whk_1', attempt: 3, startedAtMs: 1_000, outcome: 'delivered' },
  ]);
});

test('an attempt of traced events has one span, which the receiver gets where that is asked for', async () => {
  using tracing = startFakeTracing();
  const traced = delivery({ traceparent: 'recording-1' });
  for (const sendsTraceparent of [false, true]) {
    const { attempt, sent, noted } = setUp({ sendsTraceparent });
    await attempt(createDeliveryBatch(traced, delivery({ traceparent: 'recording-2' })));
    await attempt(createDeliveryBatch(delivery()));
    const span = tracing.spans.at(-1);
    expect(sent.map(({ headers }) => headers.traceparent)).toEqual([
      sendsTraceparent ? span?.traceparent : undefined,
      undefined,
    ]);
    expect(span).toMatchObject({ isOpen: false, start: { parent: 'recording-1', links: ['recording-2'] } });
    expect(span?.attributes).toMatchObject({ 'tandem.attempt': 3, 'http.response.status_code': 200 });
    // It is none of the headers that the owner has set.
    expect(noted.map(({ request }) => request?.ownHeaders)).toEqual([[], []]);
  }
  expect(tracing.spans).toHaveLength(2);
});

test.each([
  ['a first attempt', { attemptCount: 0, readAtMs: 400 }, 600],
  ['a retry', { attemptCount: 2, readAtMs: 400 }, undefined],
  ['what was never read from the log as new', { attemptCount: 0, readAtMs: 0 }, undefined],
])(
  'the span of %s says how long it waited at the endpoint, if that is known',
  async (_what, values, waitedMs) => {
    using tracing = startFakeTracing();
    await setUp().attempt(createDeliveryBatch(delivery({ traceparent: 'recording-1', ...values })));
    expect(tracing.spans[0]?.attributes['tandem.waited_ms']).toBe(waitedMs);
  },
);

test('a trace takes the place of the owner’s own header, and is not signed', () => {
  const settings = {
    url: 'https://shop.example/hook',
    headers: { Traceparent: 'own', 'x-own': 'kept' },
    keys: [{ key: secretToKey('whsec_a2V5'), expiresAtMs: Number.POSITIVE_INFINITY }],
  };
  const request = (traceparent?: string) =>
    toRequest(settings, 'evt_1', '{}', 1_000, new AbortController().signal, traceparent).headers;
  const { Traceparent: own, ...signed } = request();
  expect(own).toBe('own');
  expect(request('a-trace')).toEqual({ ...signed, traceparent: 'a-trace' });
});

test('a text that is not at hand is looked up, and kept for the next try', async () => {
  const { attempt, sent } = setUp({
    readPayload: async () => ({ payload: '{"n":2}', type: 'invoice.created' }),
  });
  const retry = delivery({ payload: undefined, type: undefined });
  await attempt(createDeliveryBatch(retry));
  expect(sent[0]?.body.toString()).toBe('{"n":2}');
  expect(retry.payload).toBe('{"n":2}');
});

test('nothing is sent when the text is gone, the type is not asked for any more, or it may not be sent now', async () => {
  const { attempt, sent, noted, forbid } = setUp();
  expect(await attempt(createDeliveryBatch(delivery({ payload: undefined })))).toEqual({ kind: 'expired' });
  expect(await attempt(createDeliveryBatch(delivery({ type: 'invoice.updated' })))).toEqual({
    kind: 'unwanted',
  });
  forbid();
  expect(await attempt(createDeliveryBatch(delivery()))).toEqual({ kind: 'withheld' });
  expect(sent).toEqual([]);
  expect(noted).toEqual([]);
});

test('a forbidden URL is a failure without a request', async () => {
  const { attempt, sent } = setUp({ findUrlProblem: () => 'must be https' });
  expect(await attempt(createDeliveryBatch(delivery()))).toMatchObject({
    kind: 'sent',
    outcome: { kind: 'failed', errorClass: 'invalid_url', message: 'the URL must be https' },
  });
  expect(sent).toEqual([]);
});

test('a try that was broken off is not noted', async () => {
  const { attempt, noted, stop } = setUp({
    send: async () => {
      stop.abort();
      return delivered;
    },
  });
  await attempt(createDeliveryBatch(delivery()));
  expect(noted).toEqual([]);
});

test('a batch has the events that are still asked for, and an ID that says which these are', async () => {
  const { attempt, sent, noted } = setUp({}, { maxEvents: 10, maxWaitMs: 0 });
  const at = (lsn: number, part: Partial<Delivery> = {}) =>
    delivery({
      position: { commitLsn: BigInt(lsn), index: 0 },
      payload: `{"n":${lsn}}`,
      attemptCount: 0,
      ...part,
    });
  const gone = at(2, { type: 'invoice.updated' });
  await attempt(createDeliveryBatch(at(1), gone, at(3)));
  await attempt(createDeliveryBatch(at(1), at(3)));
  await attempt(createDeliveryBatch(at(1), at(2), at(3)));
  const ids = sent.map(({ headers }) => headers['webhook-id']);
  expect(ids[0]).toMatch(/^bat_[0-9a-f]{26}$/);
  expect(ids[1]).toBe(ids[0]);
  expect(ids[2]).not.toBe(ids[0]);
  expect(sent[0]?.body.toString()).toBe(`{"id":"${ids[0]}","type":"batch","events":[{"n":1},{"n":3}]}`);
  expect(noted[0]).toMatchObject({
    eventId: 'evt_00000000000000010000000000',
    batch: { id: ids[0], eventIds: ['evt_00000000000000010000000000', 'evt_00000000000000030000000000'] },
    attempt: 1,
  });
});

test('a batch of which nothing is asked for any more is not sent', async () => {
  const { attempt, sent } = setUp({}, { maxEvents: 10, maxWaitMs: 0 });
  const gone = delivery({ type: 'invoice.updated' });
  expect(await attempt(createDeliveryBatch(gone, gone))).toEqual({ kind: 'unwanted' });
  expect(sent).toEqual([]);
});

const secret = `whsec_${Buffer.from('the current one').toString('base64')}`;
const older = `whsec_${Buffer.from('the one before').toString('base64')}`;
const settings = (headers: Record<string, string> = {}) => ({
  url: 'https://shop.example/hook',
  headers,
  keys: [
    { key: secretToKey(secret), expiresAtMs: Number.POSITIVE_INFINITY },
    { key: secretToKey(older), expiresAtMs: Date.now() + 60_000 },
  ],
});
const never = new AbortController().signal;

test('during a rotation both secrets verify, and afterwards only the new one', () => {
  const during = toRequest(settings(), 'evt_1', '{}', Date.now(), never);
  for (const each of [secret, older]) {
    expect(() => new Webhook(each).verify(during.body, { ...during.headers })).not.toThrow();
  }
  const after = toRequest(settings(), 'evt_1', '{}', Date.now() + 120_000, never);
  expect(after.headers['webhook-signature']?.split(' ')).toHaveLength(1);
});

test('headers of the owner never replace ours', () => {
  const { headers } = toRequest(
    settings({ 'X-Team': 'blue', 'Webhook-Id': 'forged', HOST: 'elsewhere', 'Content-Length': '1' }),
    'evt_1',
    '{}',
    1_000_000,
    never,
  );
  expect(Object.keys(headers).sort()).toEqual([
    'X-Team',
    'content-type',
    'user-agent',
    'webhook-id',
    'webhook-signature',
    'webhook-timestamp',
  ]);
  expect(headers).toMatchObject({ 'webhook-id': 'evt_1', 'webhook-timestamp': '1000' });
});
