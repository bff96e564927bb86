import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Batch, createBatchSender } from './send-rows.ts';

type Item = readonly [item: number, bytes: number];

class ItemBatch implements Batch<Item> {
  items: number[] = [];
  byteCount = 0;

  add([item, bytes]: Item): void {
    this.items.push(item);
    this.byteCount += bytes;
  }

  reset(): void {
    this.items = [];
    this.byteCount = 0;
  }
}

function setUp(maxBytes: number) {
  const sent: number[][] = [];
  const events: string[] = [];
  const acks: PromiseWithResolvers<void>[] = [];
  const sender = createBatchSender<Item, ItemBatch>({
    maxBytes,
    openBatch: () => new ItemBatch(),
    send({ items }) {
      sent.push([...items]);
      const ack = Promise.withResolvers<void>();
      acks.push(ack);
      return ack.promise;
    },
    onFull: () => events.push('full'),
    onDrained: () => events.push('room'),
    onFailure: () => events.push('failure'),
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { sender, sent, events, acks, settle };
}

test('a batch is sent when it is full, and the next one not before the first is acknowledged', async () => {
  const { sender, sent, events, acks, settle } = setUp(2);
  for (const message of [1, 2, 3, 4]) sender.add([message, 1]);
  expect(sent).toEqual([[1, 2]]);
  expect(events).toEqual(['full']);
  acks[0]?.resolve();
  await settle();
  expect(sent).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(events).toEqual(['full', 'room']);
});

test('finishing sends what is left and waits for its acknowledgement', async () => {
  const { sender, sent, acks, settle } = setUp(10);
  sender.add([1, 1]);
  let isFinished = false;
  const finishing = sender.finish().then(() => {
    isFinished = true;
  });
  await settle();
  expect(sent).toEqual([[1]]);
  expect(isFinished).toBe(false);
  acks[0]?.resolve();
  await finishing;
});

test('after a failure nothing more is sent, and who adds or finishes is told', async () => {
  const { sender, sent, events, acks, settle } = setUp(1);
  sender.add([1, 1]);
  acks[0]?.reject(new Error('no broker'));
  await settle();
  expect(events).toEqual(['failure']);
  expect(() => sender.add([2, 1])).toThrow('no broker');
  await expect(sender.finish()).rejects.toThrow('no broker');
  expect(sent).toEqual([[1]]);
});

test('whatever the sizes, every message is sent once and in order', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(sizes, async (bytes) => {
      const { sender, sent, acks, settle } = setUp(10);
      for (const [index, size] of bytes.entries()) {
        sender.add([index, size]);
        if (index % 3 === 0) {
          for (const ack of acks) ack.resolve();
          await settle();
        }
      }
      const finishing = sender.finish();
      while (sent.flat().length < bytes.length) {
        for (const ack of acks) ack.resolve();
        await settle();
      }
      for (const ack of acks) ack.resolve();
      await finishing;
      expect(sent.flat()).toEqual(bytes.map((_, index) => index));
    }),
  );
});
