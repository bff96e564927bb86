import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ProgressBatch } from '../../../shared/control/webhooks/save-progress.ts';
import { comparePositions } from '../../../shared/domain/position.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { secretToKey } from '../../../shared/runtime/signing.ts';
import type { Batching, EndpointSettings } from '../endpoints/endpoint.ts';
import { HEALTHY } from '../endpoints/endpoint-health.ts';
import { NO_HEADERS } from '../send/kept-headers.ts';
import type { SendOutcome } from '../send/send.ts';
import type { LoggedEvent } from '../store/read-events.ts';
import { RETRY_DELAYS_MS } from './classify-outcome.ts';
import { createEndpointRunner, type EndpointRunner } from './endpoint-runner.ts';
import { createProgressSaver } from './progress-saver.ts';
import { createStartTurns } from './request-starts.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Hours and days pass here in a moment: timers and the clock are the test's. */
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  runner?.abandon();
  vi.useRealTimers();
});

let runner: EndpointRunner | undefined;

const answer = (status: number, retryAfter?: string): SendOutcome => ({
  kind: 'answered',
  isCut: false,
  headers: NO_HEADERS,
  status,
  retryAfter,
  excerpt: '',
  durationMs: 1,
});

interface Sent {
  readonly atMs: number;
  readonly body: string;
}

interface Options {
  readonly batching?: Batching | undefined;
  readonly rateLimit?: number;
  readonly records?: number;
  readonly saveMs?: number;
}

/** An endpoint over a log that grows, with a receiver that takes 10 ms a request and a store that takes 2 ms a save unless told otherwise. */
const setUp = ({ batching, rateLimit, records = 1_000, saveMs = 2 }: Options = {}) => {
  const settings: EndpointSettings = {
    id: 'whk_1',
    accountId: 'acct_1',
    url: 'https://shop.example/hook',
    headers: {},
    selection: { patterns: ['*'], handOff: undefined },
    maxInFlight: 20,
    order: 'record',
    rateLimit,
    batching,
    isActive: true,
    keys: [{ key: secretToKey('whsec_a2V5'), expiresAtMs: Number.POSITIVE_INFINITY }],
    settingsVersion: 1,
    cursorEpoch: 0,
    leaseEpoch: 1,
  };
  const log: LoggedEvent[] = [];
  const sent: Sent[] = [];
  const saved: ProgressBatch[] = [];
  const rows = new Set<string>();
  let statusOf: (body: string) => SendOutcome = () => answer(200);
  const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const made = createEndpointRunner(
    { settings, cursor: { commitLsn: 0n, index: 0 }, done: [], health: HEALTHY },
    {
      async send({ body }) {
        const text = body.toString();
        sent.push({ atMs: Date.now(), body: text });
        const outcome = statusOf(text);
        await after(10);
        return outcome;
      },
      readEvents: async (_account, place, limit) => {
        let from = Math.max(0, Number(place.commitLsn));
        while (log[from] !== undefined && comparePositions(log[from]?.position ?? place, place) <= 0)
          from += 1;
        return log.slice(from, from + limit);
      },
      readRecordEvents: async (_account, record, place, upTo, limit) => {
        const events = log
          .slice(Number(place.commitLsn), Number(upTo.commitLsn))
          .filter(({ resource, recordKey }) => `${resource}/${recordKey}` === record)
          .slice(0, limit);
        return { events, readTo: events.length === limit ? events.at(-1)?.position : undefined };
      },
      readPayload: async (_account, { position }) => {
        const found = log[Number(position.commitLsn) - 1];
        return found?.payload === undefined ? undefined : { payload: found.payload, type: found.type };
      },
      saver: createProgressSaver(async (batch) => {
        await after(saveMs);
        saved.push(batch);
        for (const { position } of batch.retries) rows.add(String(position.commitLsn));
        for (const { position } of batch.endedRetries) rows.delete(String(position.commitLsn));
        return new Set(batch.endpoints.map(({ endpointId }) => endpointId));
      }),
      turns: createStartTurns(1_000, 15_000, () => 0),
      noteAttempt: () => undefined,
      onSending: () => undefined,
      maySend: () => true,
      findUrlProblem: () => undefined,
      singularOf: () => 'invoice',
      onLost: () => undefined,
      now: Date.now,
      random: () => 0.5,
      retryDelaysMs: RETRY_DELAYS_MS,
      log: silentLog,
    },
  );
  runner = made;
  const record = (count: number) => {
    for (let n = 0; n < count; n++) {
      const lsn = log.length + 1;
      log.push({
        position: { commitLsn: BigInt(lsn), index: 0 },
        xid: 1n,
        type: 'invoice.updated',
        resource: 'invoices',
        recordKey: `[${lsn % records}]`,
        committedAt: '2026-01-05T00:00:00.000000Z',
        payload: `{"n":${lsn}}`,
      });
    }
    made.wake();
  };
  return {
    record,
    sent,
    saved,
    /** Rows of retries in the control store. */
    rows,
    log,
    answerBy: (answerOf: (body: string) => SendOutcome) => {
      statusOf = answerOf;
    },
    /** So much time passes, with so many new events at the beginning of each ten seconds. */
    async pass(ms: number, perStep = 0) {
      const stepMs = perStep === 0 ? ms : 10 * SECOND_MS;
      for (let passed = 0; passed < ms; passed += stepMs) {
        if (perStep > 0) record(perStep);
        await vi.advanceTimersByTimeAsync(Math.min(stepMs, ms - passed));
      }
    },
    numbers: () =>
      sent.flatMap(({ body }) => [...body.matchAll(/"n":(\d+)/g)].map((match) => Number(match[1]))),
    cursor: () => saved.at(-1)?.endpoints[0]?.cursor.commitLsn,
  };
};

/** Requests in the busiest second. */
const mostInASecond = (sent: readonly Sent[]): number => {
  let most = 0;
  let from = 0;
  for (const [index, { atMs }] of sent.entries()) {
    while ((sent[from]?.atMs ?? atMs) <= atMs - SECOND_MS) from += 1;
    most = Math.max(most, index - from + 1);
  }
  return most;
};

test.each([undefined, { maxEvents: 100, maxWaitMs: 500 }])(
  'an hour down under load costs a probe a minute and a few rows, and is caught up with at the rate that was set %o',
  async (batching) => {
    const { record, sent, rows, log, answerBy, pass, numbers, cursor } = setUp({ batching, rateLimit: 50 });
    answerBy(() => answer(500));
    await pass(60 * MINUTE_MS, 5);
    expect(sent.length).toBeLessThan(220);
    expect(sent.filter(({ atMs }) => atMs > Date.now() - 30 * MINUTE_MS).length).toBeLessThan(70);
    expect(rows.size).toBeLessThan(10);
    const triedCount = sent.length;
    let okCount = 0;
    answerBy(() => {
      okCount += 1;
      return answer(200);
    });
    // It is asked again within the longest rest, and then as fast as it may be.
    await pass(MINUTE_MS);
    expect(okCount).toBeGreaterThan(0);
    await pass(batching === undefined ? (log.length / 50) * SECOND_MS : 30 * SECOND_MS);
    await pass(6 * 60 * MINUTE_MS);
    record(1);
    await pass(10 * SECOND_MS);
    expect(mostInASecond(sent.slice(triedCount))).toBeLessThanOrEqual(56);
    expect(new Set(numbers().slice(0)).size).toBe(log.length);
    expect(cursor()).toBe(BigInt(log.length));
    expect(rows.size).toBe(0);
  },
  // Eight hours of timers.
);

test('without a limit of its own, an endpoint that is back gets one request, then ever more at once', async () => {
  const { sent, answerBy, pass } = setUp();
  answerBy(() => answer(500));
  await pass(5 * MINUTE_MS, 200);
  const triedCount = sent.length;
  answerBy(() => answer(200));
  while (sent.length < triedCount + 4) await vi.advanceTimersByTimeAsync(5);
  const [first, second, third, fourth] = sent.slice(triedCount).map(({ atMs }) => atMs);
  // The first one alone; then two, of which the second waits for no answer of the other.
  expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(10);
  expect((third ?? 0) - (second ?? 0)).toBeLessThanOrEqual(12);
  expect(fourth).toBeGreaterThanOrEqual((second ?? 0) + 10);
});

test('an endpoint that fails for days is disabled, and not before', async () => {
  const { saved, answerBy, pass, record } = setUp();
  const disabledBy = () => saved.map(({ endpoints }) => endpoints[0]?.disabledBy).find(Boolean);
  answerBy(() => answer(500));
  record(50);
  // The clock leaps, since five days of probes would tell no more than those of some minutes.
  const daysPass = async (days: number) => {
    await pass(5 * MINUTE_MS);
    vi.setSystemTime(Date.now() + days * DAY_MS);
    await pass(5 * MINUTE_MS);
  };
  await daysPass(4.9);
  expect(disabledBy()).toBeUndefined();
  await daysPass(0.2);
  expect(disabledBy()).toContain('days');
  const { length } = saved;
  await pass(MINUTE_MS, 10);
  expect(saved.length - length).toBeLessThan(3);
});

test.each([
  ['120', 120],
  ['Thu, 01 Jan 2026 00:02:00 GMT', 120],
  ['86400', 3_600],
])('an answer of 429 with Retry-After %s rests the whole endpoint %i seconds', async (header, seconds) => {
  vi.setSystemTime(Date.UTC(2026, 0, 1));
  const { sent, rows, answerBy, pass, record } = setUp();
  answerBy(() => (sent.length === 1 ? answer(429, header) : answer(200)));
  record(1);
  await vi.advanceTimersByTimeAsync(20);
  record(100);
  await pass((seconds - 1) * SECOND_MS);
  expect(sent).toHaveLength(1);
  await pass(5 * SECOND_MS);
  expect(sent).toHaveLength(102);
  expect(rows.size).toBe(0);
});

test('of a thousand events in batches one is at fault: few requests find it, and one row is kept of it', async () => {
  const { sent, rows, answerBy, pass, record, numbers } = setUp({
    batching: { maxEvents: 500, maxWaitMs: 0 },
  });
  answerBy((body) => answer(body.includes('"n":777}') ? 500 : 200));
  record(1_000);
  await pass(4 * SECOND_MS);
  expect(new Set(numbers()).size).toBe(1_000);
  expect(sent.length).toBeLessThan(25);
  expect([...rows]).toEqual(['777']);
  const { length } = sent;
  await pass(10 * SECOND_MS);
  expect(sent.slice(length).map(({ body }) => body.includes('"n":777}'))).toEqual([true]);
});

test.each([
  ['each of its own', undefined],
  ['in batches', { maxEvents: 5, maxWaitMs: 0 }],
])(
  'while a save takes long, a crash repeats no more requests %s than the endpoint takes at once',
  async (_how, batching) => {
    const { sent, record, pass } = setUp({ batching, records: 100_000, saveMs: MINUTE_MS });
    record(2_000);
    await pass(MINUTE_MS / 2);
    expect(sent).toHaveLength(20);
    // Those sent before the save began make room, and no others.
    const started = sent.filter(({ atMs }) => atMs === sent[0]?.atMs).length;
    await pass(MINUTE_MS);
    expect(sent.length).toBeGreaterThanOrEqual(20 + started);
    expect(sent.length).toBeLessThanOrEqual(40);
  },
);

test("a record's next event is sent only once the one before it is saved", async () => {
  const { sent, record, pass } = setUp({ records: 3, saveMs: SECOND_MS });
  record(9);
  await pass(SECOND_MS / 2);
  expect(sent).toHaveLength(3);
  await pass(4 * SECOND_MS);
  expect(sent).toHaveLength(9);
  for (const [index, { atMs }] of sent.entries()) {
    if (index >= 3) expect(atMs - (sent[index - 3]?.atMs ?? 0)).toBeGreaterThanOrEqual(SECOND_MS);
  }
});
