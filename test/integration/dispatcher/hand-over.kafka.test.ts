import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DispatcherBed, invoiceChange, openDispatcherBed } from '../../support/dispatcher.ts';
import {
  openWebhookReceiver,
  type ReceivedRequest,
  type WebhookReceiver,
} from '../../support/webhook-receiver.ts';

let cleanup: AsyncDisposableStack;
let bed: DispatcherBed;
let receiver: WebhookReceiver;

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  bed = cleanup.use(await openDispatcherBed());
  receiver = cleanup.use(await openWebhookReceiver());
});
afterEach(() => cleanup.disposeAsync());

const ACCOUNTS = ['acc_1', 'acc_2', 'acc_3'];
const BATCHES = 60;
const CHANGES_PER_BATCH = 15;
const RECORDS = 7;

interface Payload {
  readonly account_id: string;
  readonly position: string;
  readonly key: { readonly id: number };
}

/** Positions in the order of arrival, for each record of each account. */
const byRecord = (received: readonly ReceivedRequest[]) => {
  const lists = new Map<string, string[]>();
  for (const { body } of received) {
    const { account_id, position, key } = JSON.parse(body) as Payload;
    const record = `${account_id}/${key.id}`;
    lists.set(record, [...(lists.get(record) ?? []), position]);
  }
  return [...lists.values()];
};

const publishBatch = (batch: number) =>
  bed.publish(
    Array.from({ length: CHANGES_PER_BATCH }, (_, n) => {
      const lsn = 1 + batch * CHANGES_PER_BATCH + n;
      return invoiceChange({
        account: ACCOUNTS[lsn % ACCOUNTS.length] ?? '',
        lsn,
        id: lsn % RECORDS,
        op: 'insert',
      });
    }),
  );

test('while partitions and endpoints change hands, every event arrives once and each record’s in order', async () => {
  for (const name of ACCOUNTS) {
    const accountId = await bed.addAccount(name);
    await bed.addEndpoint({ accountId, url: `${receiver.url}?${name}` });
  }
  const first = cleanup.use(await bed.start());
  let left: Promise<void> = Promise.resolve();
  let joined: Promise<unknown> = Promise.resolve();
  for (let batch = 0; batch < BATCHES; batch++) {
    if (batch === 15) joined = bed.start().then((second) => cleanup.use(second));
    if (batch === 40) {
      await joined;
      left = first.stop();
    }
    await publishBatch(batch);
  }
  await left;
  const count = BATCHES * CHANGES_PER_BATCH;
  await receiver.until('every event', (list) => new Set(list.map(({ id }) => id)).size === count);
  expect(receiver.received).toHaveLength(count);
  for (const positions of byRecord(receiver.received)) expect(positions).toEqual([...positions].sort());
});

test('what comes while requests are slow is not lost when it no longer fits in memory', async () => {
  const accountId = await bed.addAccount('acc_1');
  const id = await bed.addEndpoint({ accountId, url: receiver.url, maxInFlight: 2 });
  const gate = Promise.withResolvers<void>();
  receiver.answer = (_request, response) => {
    void gate.promise.then(() => response.writeHead(200).end());
    return undefined;
  };
  // The longest there is: none of the two is given up while the others are published.
  cleanup.use(await bed.start({ DELIVERY_TIMEOUT_MS: '60000' }));
  const publish = (from: number, count: number) =>
    bed.publish(
      Array.from({ length: count }, (_, n) =>
        invoiceChange({ account: 'acc_1', lsn: from + n, id: from + n }),
      ),
    );
  await publish(1, 2);
  await receiver.until('the window to be full', () => receiver.openCount === 2);
  for (let from = 3; from < 1_500; from += 50) await publish(from, 50);
  gate.resolve();
  await bed.pool.query('update webhooks set max_in_flight = 50 where id = $1', [id]);
  await publish(5_000, 50);
  await receiver.until('all', (list) => list.length >= 2 + 1_500 + 50);
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(receiver.received.length);
});
