import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { latencyLine } from '../../deploy/demo/delay-watch.ts';
import type { World } from '../../deploy/demo/world.ts';
import type { BenchReceiver } from './bench-receiver.ts';
import { commitPaced } from './feed-load.ts';

const CHANGES_PER_SECOND = 250;
const SECONDS = 6;

export interface HopsOptions {
  world: World;
  controlUrl: string;
  receiver: BenchReceiver;
  until(condition: () => boolean | Promise<boolean>): Promise<void>;
  say(line: string): void;
}

/**
 * Where the time between commit and webhook goes, seen from outside: one writer commits, so that every stage has the
 * same order, and the n-th of each is the same change. A reader of the topic is one part more on the machine, which is why this is
 * measured apart from the whole. Records and attempts have times in whole milliseconds.
 */
export async function benchHops({ world, controlUrl, receiver, until, say }: HopsOptions): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const source = new pg.Pool({ connectionString: world.sourceUrl, max: 1 });
  cleanup.defer(() => source.end());
  const control = new pg.Client({ connectionString: controlUrl });
  await control.connect();
  cleanup.defer(() => control.end());

  const producedMs: number[] = [];
  const readableMs: number[] = [];
  const kafka = new Kafka({
    clientId: 'tandem-bench',
    brokers: (world.env.KAFKA_BROKERS ?? '').split(','),
    logLevel: logLevel.ERROR,
  });
  const consumer = kafka.consumer({ groupId: `${world.prefix}.bench`, maxWaitTimeInMs: 500 });
  await consumer.connect();
  cleanup.defer(() => consumer.disconnect());
  await consumer.subscribe({ topic: `${world.prefix}.changes`, fromBeginning: false });
  const joined = new Promise<void>((resolve) => consumer.on(consumer.events.FETCH, () => resolve()));
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      const atMs = performance.timeOrigin + performance.now();
      for (const { timestamp } of batch.messages) {
        producedMs.push(Number(timestamp));
        readableMs.push(atMs);
      }
    },
  });
  await joined;

  receiver.reset();
  const count = CHANGES_PER_SECOND * SECONDS;
  const {
    rows: [before],
  } = await control.query<{ now: Date }>('select clock_timestamp() as now');
  await commitPaced(source, CHANGES_PER_SECOND, count);
  await until(() => receiver.receivedMs.length >= count && readableMs.length >= count);
  const startedMs: number[] = [];
  await until(async () => {
    const { rows } = await control.query<{ at: Date }>(
      'select started_at as at from tandem.webhook_attempts where started_at >= $1 order by event_id',
      [before?.now],
    );
    startedMs.splice(0, Number.POSITIVE_INFINITY, ...rows.map(({ at }) => at.getTime()));
    return startedMs.length >= count;
  });
  const received = receiver.committedMs
    .map((committedMs, n) => ({ committedMs, receivedMs: receiver.receivedMs[n] ?? 0 }))
    .toSorted((a, b) => a.committedMs - b.committedMs);
  const committedMs = received.map((each) => each.committedMs);
  const stages = [
    { name: 'commit → decoded, producing', from: committedMs, to: producedMs },
    { name: 'producing → committed in Kafka, read', from: producedMs, to: readableMs },
    { name: 'read → in the event log, sending', from: readableMs, to: startedMs },
    { name: 'sending → received', from: startedMs, to: received.map((each) => each.receivedMs) },
    { name: 'commit → received', from: committedMs, to: received.map((each) => each.receivedMs) },
  ];
  say(`hops at ${CHANGES_PER_SECOND} changes/s, with a second reader of the topic:`);
  for (const { name, from, to } of stages) {
    const durations = to.slice(0, count).map((atMs, n) => atMs - (from[n] ?? 0));
    say(`    ${name.padEnd(38)} ${latencyLine(durations)}`);
  }
}
