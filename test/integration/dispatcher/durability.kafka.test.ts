import { getEventListeners } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createChangeChain } from '../../../services/capture/publish/publisher.ts';
import { createWakeUps } from '../../../services/dispatcher/deliver/wake-ups.ts';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import {
  type DispatcherBed,
  invoiceChange,
  openDispatcherBed,
  untilCursor,
} from '../../support/dispatcher.ts';
import { openSilentProxy } from '../../support/silent-proxy.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  openWebhookReceiver,
  type ReceivedRequest,
  type WebhookReceiver,
} from '../../support/webhook-receiver.ts';

/** As topics are declared. */
const PARTITION_COUNT = 12;

/** How long the control store is away: longer than the lease of ten seconds that a dispatcher has there. */
const OUTAGE_MS = 15_000;

let bed: DispatcherBed;
let receiver: WebhookReceiver;
let cleanup: AsyncDisposableStack;
let accountCount = 0;

beforeAll(async () => {
  bed = await openDispatcherBed();
});
afterAll(() => bed?.[Symbol.asyncDispose]());
beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  receiver = cleanup.use(await openWebhookReceiver());
});
afterEach(async () => {
  await cleanup.disposeAsync();
  await bed.pool.query('delete from webhooks');
});

const newAccount = async () => {
  accountCount += 1;
  const sourceId = `acc_${accountCount}`;
  return { sourceId, accountId: await bed.addAccount(sourceId) };
};
const range = (count: number, from = 1) => Array.from({ length: count }, (_, n) => from + n);
const recordOf = ({ body }: ReceivedRequest) => (JSON.parse(body) as { key: { id: number } }).key.id;

/** First arrivals only: repeats are allowed, disorder is not. */
const expectOrder = (received: readonly { readonly id: string; readonly record: number }[]) => {
  const last = new Map<number, string>();
  const seen = new Set<string>();
  for (const { id, record } of received) {
    if (seen.has(id)) continue;
    seen.add(id);
    expect(id > (last.get(record) ?? '')).toBe(true);
    last.set(record, id);
  }
};

/** A dispatcher as a process of its own, so that it can be killed and has a log. */
const startProcess = async (settings: Record<string, string> = {}) => cleanup.use(await bed.spawn(settings));

test('killed with batches under way, nothing is lost and no more is repeated than these held', async () => {
  const { accountId } = await newAccount();
  const batch = { max_events: 20, max_wait_ms: 20 };
  await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 3, batch });
  const eventsOf = ({ body }: ReceivedRequest) =>
    (JSON.parse(body) as { events: { id: string; record: number }[] }).events;
  const first = await startProcess();
  let isHolding = false;
  receiver.answer = () => (isHolding && receiver.received.length % 2 > 0 ? undefined : 200);
  await bed.addEvents(range(1_000).map((lsn) => ({ accountId, lsn, record: lsn % 90 })));
  await receiver.until('a part', (list) => list.length > 4);
  isHolding = true;
  await waitFor('its window to be full', () => receiver.openCount === 3);
  await first.kill();
  await bed.endLeases();
  isHolding = false;
  await startProcess();
  const ids = () => receiver.received.flatMap(eventsOf).map(({ id }) => id);
  await waitFor('all', () => new Set(ids()).size === 1_000);
  expect(ids().length).toBeLessThanOrEqual(1_000 + 3 * 20);
  expectOrder(receiver.received.flatMap(eventsOf));
});

test('killed while it records a large transaction, it has told another account of the partition meanwhile, and loses nothing', async () => {
  const large = await newAccount();
  const partition = accountPartition(large.sourceId, PARTITION_COUNT);
  const besideId = range(1_000)
    .map((n) => `beside_${n}`)
    .find((id) => accountPartition(id, PARTITION_COUNT) === partition);
  const small = { sourceId: besideId ?? '', accountId: await bed.addAccount(besideId ?? '') };
  // It makes the topics.
  await (await bed.start()).stop();
  const rows = 20_000;
  const chain = createChangeChain(undefined, Date.now());
  for (let from = 0; from < rows; from += 2_000) {
    await bed.publish(
      range(2_000, from).map((index) => {
        const change = invoiceChange({ account: large.sourceId, lsn: 5_000, id: index });
        return { ...change, source: { ...change.source, index } };
      }),
      chain,
    );
  }
  await bed.publish([invoiceChange({ account: small.sourceId, lsn: 5_001 })], chain);
  const recorded = async () => {
    const { rows: found } = await bed.pool.query<{ account_id: string; count: number; last: number }>(
      `select account_id, count(*)::int as count, max(idx) as last from events
        where account_id = any($1) and type = 'invoice.created' group by account_id`,
      [[large.accountId, small.accountId]],
    );
    return new Map(found.map((row) => [row.account_id, row]));
  };
  const dispatcher = await startProcess();
  await waitFor('the small one’s event', async () => {
    const { count = 0 } = (await recorded()).get(small.accountId) ?? {};
    return count > 0;
  });
  await dispatcher.kill();
  const { count = 0, last = -1 } = (await recorded()).get(large.accountId) ?? {};
  expect(count).toBeLessThan(rows);
  // Each account's events come in their order, so there is none missing before the last.
  expect(last).toBe(count - 1);
  await bed.endLeases();
  await startProcess();
  await waitFor('all', async () => (await recorded()).get(large.accountId)?.count === rows);
  const { rows: others } = await bed.pool.query(
    `select type from events where account_id = any($1) and type <> 'invoice.created'`,
    [[large.accountId, small.accountId]],
  );
  expect(others).toEqual([]);
});

test('with the control store away for longer than a lease, nothing is lost and only what was under way is repeated', async () => {
  const { accountId, sourceId } = await newAccount();
  const windowSize = 10;
  await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: windowSize });
  const direct = new URL(bed.env.CONTROL_DATABASE_URL ?? '');
  const proxy = cleanup.use(await openSilentProxy(direct.hostname, Number(direct.port)));
  const indirect = new URL(direct);
  indirect.hostname = '127.0.0.1';
  indirect.port = String(proxy.port);
  const { child, log } = await startProcess({ CONTROL_DATABASE_URL: indirect.href });
  const publish = (count: number, from: number) =>
    bed.publish(range(count, from).map((lsn) => invoiceChange({ account: sourceId, lsn, id: lsn % 30 })));
  // Slow enough for the store to go away with requests under way.
  receiver.answer = (_request, response) => {
    setTimeout(() => response.writeHead(200).end(), 20);
    return undefined;
  };
  await publish(300, 1);
  await receiver.until('a part', (list) => list.length > 50);
  // Nothing listens at port 1.
  proxy.cut(1);
  await publish(100, 301);
  await waitFor('it to have been refused for that long, by its own clock', () => {
    expect(child.exitCode).toBe(null);
    const refusals = log.filter(({ event }) => event === 'lease.not_renewed');
    const [first = '', last = ''] = [refusals[0]?.time, refusals.at(-1)?.time];
    return Date.parse(last) - Date.parse(first) >= OUTAGE_MS;
  });
  const alive = await bed.pool.query('select 1 from dispatchers where expires_at > now()');
  expect(alive.rows).toEqual([]);
  const sentMeanwhile = receiver.received.length;
  expect(sentMeanwhile).toBeLessThan(400);
  proxy.cut(Number(direct.port));
  await waitFor('all', () => new Set(receiver.received.map(({ id }) => id)).size === 400);
  expect(receiver.received.length).toBeLessThanOrEqual(400 + windowSize);
  expectOrder(receiver.received.map((request) => ({ id: request.id, record: recordOf(request) })));
});

test('a connection for wake-ups that falls silent is made again, and leaves nothing behind', async () => {
  const direct = new URL(bed.env.CONTROL_DATABASE_URL ?? '');
  const proxy = cleanup.use(await openSilentProxy(direct.hostname, Number(direct.port)));
  const proxied = new URL(direct);
  proxied.host = `127.0.0.1:${proxy.port}`;
  let looks = 0;
  const onEvents = () => {
    looks += 1;
  };
  const targets = { onEvents, onWebhooks: () => undefined };
  const wakeUps = createWakeUps(new Secret(proxied.href), 'self', targets, silentLog, 1_000);
  const stop = new AbortController();
  const running = wakeUps.run(stop.signal);
  cleanup.defer(() => {
    stop.abort();
    return running;
  });
  const listeners: number[] = [];
  for (let made = 1; made <= 3; made++) {
    await waitFor(`connection ${made}`, () => looks === made && wakeUps.isListening());
    listeners.push(getEventListeners(stop.signal, 'abort').length);
    proxy.silence();
  }
  expect(new Set(listeners).size).toBe(1);
});

test('a log of attempts that can not be written makes no delivery come again', async () => {
  const { accountId } = await newAccount();
  const id = await bed.addEndpoint({ accountId, url: receiver.url });
  await bed.pool.query('alter table webhook_attempts rename to webhook_attempts_away');
  cleanup.defer(async () => {
    await bed.pool.query('alter table webhook_attempts_away rename to webhook_attempts');
  });
  cleanup.use(await bed.start());
  await bed.addEvents(range(50).map((lsn) => ({ accountId, lsn, record: lsn })));
  await untilCursor(bed, id, 50);
  await bed.addEvents([{ accountId, lsn: 51 }]);
  await untilCursor(bed, id, 51);
  expect(receiver.received).toHaveLength(51);
});
