import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DispatcherBed, invoiceChange, openDispatcherBed } from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';
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

test('a dispatcher that stops hands its endpoints over while it waits for its last response', async () => {
  const ids = await Promise.all(
    Array.from({ length: 8 }, async (_, n) =>
      bed.addEndpoint({ accountId: await bed.addAccount(`acc_${n}`), url: receiver.url }),
    ),
  );
  /** Endpoints by the dispatcher that has them. */
  const owned = async () => {
    const endpoints = await Promise.all(ids.map((id) => bed.endpoint(id)));
    return Map.groupBy(endpoints, ({ lease_owner: owner }) => owner);
  };
  const countsOf = (owners: Awaited<ReturnType<typeof owned>>) =>
    [...owners.values()].map(({ length }) => length);
  // Longer than the test takes, so that only its response ends the request.
  const settings = { DELIVERY_TIMEOUT_MS: '60000' };
  const first = cleanup.use(await bed.start(settings));
  const [firstId] = await waitFor('one to have all', async () => {
    const owners = await owned();
    return countsOf(owners)[0] === 8 && [...owners.keys()];
  });
  cleanup.use(await bed.start(settings));
  await waitFor('both to have a half', async () => countsOf(await owned()).join() === '4,4');
  const response = Promise.withResolvers<void>();
  receiver.answer = (_request, answer) => {
    void response.promise.then(() => answer.writeHead(200).end());
    return undefined;
  };
  const accountId = String((await owned()).get(firstId)?.[0]?.account_id);
  await bed.addEvents([{ accountId, lsn: 5 }]);
  await receiver.until('the request', () => receiver.openCount === 1);
  const stopped = first.stop();
  await waitFor('the other to have the rest', async () => (await owned()).get(firstId)?.length === 1);
  await waitFor(
    'nothing to be free',
    async () =>
      countsOf(await owned())
        .toSorted()
        .join() === '1,7',
  );
  expect(receiver.openCount).toBe(1);
  response.resolve();
  await stopped;
  await waitFor('one to have all', async () => countsOf(await owned())[0] === 8);
  expect(receiver.received.length).toBe(1);
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
