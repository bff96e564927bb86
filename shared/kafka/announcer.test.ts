import type { ProducerBatch } from 'kafkajs';
import { expect, test } from 'vitest';
import { silentLog } from '../runtime/log.ts';
import { createAnnouncer } from './announcer.ts';
import type { MessageCodec } from './messages.ts';

const codec: Pick<MessageCodec, 'encode'> = {
  encode: async (type, key) => ({ key, value: Buffer.from(type), headers: { type } }),
};

test('what is announced while a request is on its way goes out together, in order, and a failure drops only its own', async () => {
  const requests: { keys: string[]; settle: { resolve(): void; reject(error: Error): void } }[] = [];
  let heard = Promise.withResolvers<void>();
  const producer = {
    sendBatch({ topicMessages }: ProducerBatch) {
      const { promise, resolve, reject } = Promise.withResolvers<[]>();
      requests.push({
        keys: (topicMessages ?? []).flatMap(({ topic, messages }) =>
          messages.map(({ key }) => `${topic}/${key}`),
        ),
        settle: { resolve: () => resolve([]), reject },
      });
      heard.resolve();
      return promise;
    },
  };
  const nextRequest = async () => {
    await heard.promise;
    heard = Promise.withResolvers();
    return requests.at(-1);
  };
  const announcer = createAnnouncer(producer, codec, silentLog);
  const announce = (topic: string, key: string) =>
    announcer.announce(topic, 'ExtractExport', key, { job_id: key });
  announce('a', '1');
  const first = await nextRequest();
  announce('a', '2');
  announce('b', '3');
  announce('a', '4');
  first?.settle.reject(new Error('the broker is away'));
  const second = await nextRequest();
  expect(requests.map(({ keys }) => keys)).toEqual([['a/1'], ['a/2', 'a/4', 'b/3']]);
  second?.settle.resolve();
  await new Promise(setImmediate);
  announce('a', '5');
  expect((await nextRequest())?.keys).toEqual(['a/5']);
});
