import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { ConsumerRun, KafkaConsumer } from '../../../shared/kafka/kafka-client.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createRecorder } from './recorder.ts';

const TOPIC = 'changes';

interface Fetched {
  readonly from: number;
  readonly to: number;
}

/**
 * A group member as kafkajs makes it, with one partition of records 0, 1, 2, …: what was resolved is forgotten at a join, and
 * what was asked for before a join is handed over all the same. Statements end when the test says so.
 */
const setUp = async () => {
  const listeners = new Map<string, ((event: { payload: unknown }) => void)[]>();
  const recorded: number[] = [];
  const statements: (() => void)[] = [];
  let config: ConsumerRun | undefined;
  let committed = 0;
  let resolved: number | undefined;
  let sought: number | undefined;
  let isHeld = true;

  const emit = (name: string, payload: unknown) => {
    for (const listener of listeners.get(name) ?? []) listener({ payload });
  };
  const consumer = {
    events: { GROUP_JOIN: 'join', CRASH: 'crash', END_BATCH_PROCESS: 'end' },
    on: (name: string, listener: () => void) =>
      void listeners.set(name, [...(listeners.get(name) ?? []), listener]),
    connect: async () => undefined,
    disconnect: async () => undefined,
    subscribe: async () => undefined,
    async run(run: ConsumerRun) {
      config = run;
    },
    async commitOffsets([first]: readonly { offset: string }[]) {
      committed = Number(first?.offset);
    },
    seek({ offset }: { offset: string }) {
      sought = Number(offset);
    },
  } as unknown as KafkaConsumer;

  const recorder = createRecorder({
    topic: TOPIC,
    consumer,
    createRecord: () => async (_partition, changes) => {
      if (isHeld) await new Promise<void>((resolve) => void statements.push(resolve));
      recorded.push(...changes.map(({ offset }) => Number(offset)));
      return true;
    },
    recordedChain: {
      begin: async () => undefined,
      last: async () => null,
      note: () => undefined,
      nextOffsets: async () => new Map(),
      keepLoss: async (_partition, loss) => loss,
      findLoss: async () => undefined,
      save: async () => undefined,
    },
    bounds: {
      committed: async () => new Map([[0, BigInt(committed)]]),
      ends: async () => new Map([[0, { low: 0n, high: 100n }]]),
    },
    log: silentLog,
  });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  void recorder.run(stop.signal);
  await nextTurn();

  const position = () => sought ?? resolved ?? committed;
  /** What the next fetch gets, to be handed over later. */
  const fetch = (count: number): Fetched => {
    const from = position();
    sought = undefined;
    return { from, to: from + count };
  };
  const resolve = (offset: string) => {
    resolved = Number(offset) + 1;
  };
  /** @param during what happens whenever the member gets to say that it is alive */
  const handOver = async ({ from, to }: Fetched, during: () => void = () => undefined) => {
    const offsets = Array.from({ length: to - from }, (_, n) => String(from + n));
    await config?.eachBatch?.({
      batch: {
        topic: TOPIC,
        partition: 0,
        messages: offsets.map((offset) => ({
          offset,
          value: Buffer.from('x'),
          headers: { account: 'a', op: 'insert' },
        })),
        firstOffset: () => String(from),
        lastOffset: () => String(to - 1),
      },
      resolveOffset: resolve,
      heartbeat: async () => during(),
      isRunning: () => true,
      isStale: () => sought !== undefined,
      pause: () => () => undefined,
    } as never);
  };
  /** Records of aborted transactions and markers: kafkajs itself takes them as read. */
  const handOverEmpty = async ({ from, to }: Fetched) => {
    resolve(String(to - 1));
    emit('end', { partition: 0, batchSize: 0, firstOffset: String(from), lastOffset: String(to - 1) });
    await nextTurn();
  };
  const join = (...partitions: number[]) => {
    resolved = undefined;
    emit('join', { memberAssignment: { [TOPIC]: partitions } });
  };
  const release = async () => {
    isHeld = false;
    for (const end of statements.splice(0)) end();
    await nextTurn();
  };
  /** @returns how far the group has committed by then */
  const end = async () => {
    stop.abort();
    await nextTurn();
    return committed;
  };
  return { recorded, fetch, handOver, handOverEmpty, join, release, position, end };
};

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n);

test('what was read and not recorded when the group is joined again is read again, whatever was asked for behind it', async () => {
  const { recorded, fetch, handOver, handOverEmpty, join, release, position, end } = await setUp();
  join(0);
  await handOver(fetch(5));
  // Asked for behind what was read, while the fetch of another broker joins the group again.
  const [late, lateEmpty] = [fetch(5), fetch(5)];
  join(0);
  await release();
  recorded.splice(0);
  await handOver(late);
  expect(position()).toBe(0);
  await handOverEmpty(lateEmpty);
  expect(position()).toBe(0);
  await handOver(fetch(12));
  await nextTurn();
  expect(recorded).toEqual(range(0, 12));
  await handOverEmpty(fetch(2));
  await handOver(fetch(3));
  await nextTurn();
  expect(recorded).toEqual([...range(0, 12), 14, 15, 16]);
  expect(await end()).toBe(17);
});

test('a join while a batch is being read leaves nothing of it resolved that was not recorded', async () => {
  const { fetch, handOver, join, position } = await setUp();
  join(0);
  let beats = 0;
  await handOver(fetch(2_500), () => {
    beats += 1;
    if (beats === 1) join(0);
  });
  expect([beats, position()]).toEqual([1, 0]);
});

test('a partition that is another’s by now is not recorded, nor is an empty fetch of it passed', async () => {
  const { recorded, fetch, handOver, handOverEmpty, join, release, position, end } = await setUp();
  join(0);
  const [late, lateEmpty] = [fetch(5), fetch(5)];
  join();
  await release();
  await handOver(late);
  expect(position()).toBe(0);
  await handOverEmpty(lateEmpty);
  expect([recorded, await end()]).toEqual([[], 0]);
});
