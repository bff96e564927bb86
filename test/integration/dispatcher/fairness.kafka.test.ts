import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../../deploy/demo/random.ts';
import { openApiOver } from '../../support/api-over-dispatcher.ts';
import type { TestApi } from '../../support/api-server.ts';
import { type DispatcherBed, openDispatcherBed, untilCursor } from '../../support/dispatcher.ts';
import type { RunningService } from '../../support/services.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  openWebhookReceiver,
  type ReceivedRequest,
  type WebhookReceiver,
} from '../../support/webhook-receiver.ts';

let bed: DispatcherBed;
let dispatcher: RunningService;
let api: TestApi;
let receivers: WebhookReceiver[] = [];

beforeAll(async () => {
  bed = await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '0.02,0.02,0.02,0.02,0.02,0.02' });
  dispatcher = await bed.start();
  api = await openApiOver(bed);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await dispatcher?.stop();
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await bed.pool.query('delete from webhooks');
  for (const receiver of receivers) await receiver[Symbol.asyncDispose]();
  receivers = [];
});

const receive = async () => {
  const receiver = await openWebhookReceiver();
  receivers.push(receiver);
  return receiver;
};
interface Event {
  readonly n: number;
  readonly record: number;
}
const eventOf = ({ body }: ReceivedRequest) => JSON.parse(body) as Event;
const range = (count: number, from = 1) => Array.from({ length: count }, (_, n) => from + n);

test('5,000 events of 50 records, one in twenty answered 500 at random, many in flight: no inversion in any record', async () => {
  const receiver = await receive();
  const { id: accountId } = await api.account();
  const last = new Map<number, number>();
  const inversions: Event[] = [];
  const delivered = new Set<number>();
  const failedOf = new Map<number, number>();
  const random = seededRandom(7);
  receiver.answer = (request) => {
    const { n, record } = eventOf(request);
    const failed = failedOf.get(n) ?? 0;
    // None is given up by chance: then its record would rightly go on without it.
    if (failed < 3 && random() < 0.05) {
      failedOf.set(n, failed + 1);
      return 500;
    }
    if (n < (last.get(record) ?? 0)) inversions.push({ n, record });
    last.set(record, n);
    delivered.add(n);
    return 200;
  };
  const id = await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 50 });
  await bed.addEvents(range(5_000).map((lsn) => ({ accountId, lsn, record: lsn % 50 })));
  await untilCursor(bed, id, 5_000);
  await waitFor('every event', () => delivered.size === 5_000);
  expect(inversions).toEqual([]);
  expect(failedOf.size).toBeGreaterThan(150);
});

test('100,000 events after an export wait for one account: another’s ten come at once, and each of the many once', async () => {
  const [busy, quiet] = [await api.account(), await api.account()];
  const call = (method: string, path: string, body: unknown) =>
    api.call(method, path, { key: busy.key, body });
  const { json: made } = await call('POST', '/exports', { resource: 'invoices' });
  await bed.pool.query(
    `/* arranged */ update exports set status = 'completed', phase = 'done', start_lsn = '0/10', sealed_lsn = '0/40',
       snapshot = jsonb_build_object('taken_at', $2::text, 'lsn', '0/30', 'xmin', '40', 'xmax', '60', 'xip', '["50"]'::jsonb)
     where id = $1`,
    [made.id, new Date().toISOString()],
  );
  // The transactions 0x21 to 0x3b are in the snapshot, but for 0x32, which was open while it was taken.
  const lsns = range(100_000, 0x21);
  await bed.addEvents(lsns.map((lsn) => ({ accountId: busy.id, lsn, record: lsn % 1_000 })));
  const [many, few] = [await receive(), await receive()];
  const seen: number[] = [];
  many.answer = ({ body }) => {
    seen.push(...(JSON.parse(body) as { events: Event[] }).events.map(({ n }) => n));
    return 200;
  };
  const batch = { max_events: 100, max_wait_ms: 0 };
  const start = { after_export: made.id };
  expect((await call('POST', '/webhooks', { url: many.url, start, batch })).status).toBe(201);
  await waitFor('many to come', () => seen.length > 1_000);
  await bed.addEndpoint({ accountId: quiet.id, url: few.url });
  await bed.addEvents(range(10).map((lsn) => ({ accountId: quiet.id, lsn, record: lsn })));
  await few.until('all ten', (list) => list.length === 10);
  expect(seen.length).toBeLessThan(90_000);
  const wanted = lsns.filter((lsn) => lsn === 50 || lsn >= 60);
  await waitFor('the many', () => seen.length >= wanted.length);
  expect(seen.toSorted((a, b) => a - b)).toEqual(wanted);
});

const MAX_ROUNDS = 4;

test.each([
  { endpoints: 1, openCount: 100 },
  { endpoints: 50, openCount: 500 },
])('$endpoints hanging endpoints leave another’s latency as it is', async ({ endpoints, openCount }) => {
  const [hanging, healthy] = [await receive(), await receive()];
  hanging.answer = () => undefined;
  const [slow, fast] = [await api.account(), await api.account()];
  const id = await bed.addEndpoint({ accountId: fast.id, url: healthy.url });
  const latencies = async (from: number): Promise<number> => {
    const taken: number[] = [];
    for (const lsn of range(100, from)) {
      const startedAtMs = performance.now();
      const before = healthy.received.length;
      await bed.addEvents([{ accountId: fast.id, lsn, record: lsn }]);
      await healthy.until('it', (list) => list.length > before);
      taken.push(performance.now() - startedAtMs);
    }
    return taken.toSorted((a, b) => a - b)[98] ?? 0;
  };
  const aloneMs = await latencies(1);
  /** A busy machine has stalls of its own, which this is not about: what does not hold is so in every round. */
  const latenciesBeside = async (): Promise<number[]> => {
    const rounds: number[] = [];
    for (let round = 1; round <= MAX_ROUNDS; round += 1) {
      rounds.push(await latencies(1 + round * 100));
      if ((rounds.at(-1) ?? 0) < Math.max(2 * aloneMs, 500)) break;
    }
    return rounds;
  };
  for (let n = 0; n < endpoints; n += 1) {
    await bed.addEndpoint({ accountId: slow.id, url: hanging.url, maxInFlight: 100 });
  }
  await bed.addEvents(range(500).map((lsn) => ({ accountId: slow.id, lsn, record: lsn })));
  await hanging.until('all that they may have under way', () => hanging.openCount >= openCount);
  const rounds = await latenciesBeside();
  expect(rounds.at(-1), rounds.join()).toBeLessThan(Math.max(2 * aloneMs, 500));
  await untilCursor(bed, id, 100 + rounds.length * 100);
});

test('an account whose many endpoints are slow leaves room for another’s burst', async () => {
  const [hanging, healthy] = [await receive(), await receive()];
  const release: (() => void)[] = [];
  hanging.answer = (_request, response) => {
    release.push(() => response.writeHead(200).end());
    return undefined;
  };
  const [slow, fast] = [await api.account(), await api.account()];
  for (let n = 0; n < 15; n += 1) {
    await bed.addEndpoint({ accountId: slow.id, url: hanging.url, maxInFlight: 100 });
  }
  await bed.addEvents(range(150).map((lsn) => ({ accountId: slow.id, lsn, record: lsn })));
  await hanging.until('as many as one account may have', () => hanging.openCount >= 500);
  let mostAtOnce = 0;
  healthy.answer = () => {
    mostAtOnce = Math.max(mostAtOnce, healthy.openCount);
    return mostAtOnce < 20 ? undefined : 200;
  };
  await bed.addEndpoint({ accountId: fast.id, url: healthy.url, maxInFlight: 50 });
  await bed.addEvents(range(50).map((lsn) => ({ accountId: fast.id, lsn, record: lsn })));
  // The first of them get no answer: that others come all the same says that there is room for many at once.
  await waitFor('many at once', () => mostAtOnce >= 20);
  // Requests are counted when they go out, some milliseconds after it was decided that they may.
  expect(hanging.openCount).toBeLessThan(600);
  for (const answer of release) answer();
});
