import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { waitFor } from '../../test/support/wait-for.ts';
import type { KafkaConsumer } from './kafka-client.ts';
import { runConsumer } from './run-consumer.ts';

/** What kafkajs tells and is asked, without a broker: how a consumer crashes can't be brought about at will. */
const setUp = () => {
  const asked: string[] = [];
  const listeners = new Map<string, (event: { payload: unknown }) => void>();
  let connect = async () => {};
  const consumer = {
    events: { GROUP_JOIN: 'join', CRASH: 'crash' },
    on: (event: string, listener: (event: { payload: unknown }) => void) => listeners.set(event, listener),
    async connect() {
      asked.push('connect');
      await connect();
    },
    async run() {
      asked.push('run');
    },
    async disconnect() {
      asked.push('disconnect');
    },
  } as unknown as KafkaConsumer;
  const stop = new AbortController();
  const ended = runConsumer(consumer, {}, stop.signal);
  const crash = (name: string, restart = false) => {
    const error = Object.assign(new Error('crashed'), { name });
    listeners.get('crash')?.({ payload: { error, restart } });
  };
  return {
    asked,
    stop,
    ended,
    crash,
    onConnect: (work: () => Promise<void>) => {
      connect = work;
    },
  };
};

test('while no broker knows the coordinator a consumer is started again, until one does', async () => {
  const { asked, stop, ended, crash, onConnect } = setUp();
  onConnect(async () => {
    onConnect(async () => {});
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  });
  crash('KafkaJSGroupCoordinatorNotFound');
  await waitFor('it to run again', () => asked.length === 4);
  expect(asked).toEqual(['run', 'connect', 'connect', 'run']);
  stop.abort();
  await ended;
  expect(asked.at(-1)).toBe('disconnect');
});

test('any other crash that kafkajs does not restart from ends it', async () => {
  const { asked, ended, crash } = setUp();
  crash('KafkaJSNumberOfRetriesExceeded', true);
  crash('KafkaJSNonRetriableError');
  await expect(ended).rejects.toThrow('the Kafka consumer crashed');
  await nextTurn();
  expect(asked).toEqual(['run']);
});
