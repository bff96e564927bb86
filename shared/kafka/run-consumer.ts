import { backoffMs } from '../runtime/retry.ts';
import { sleep } from '../runtime/sleep.ts';
import { classifyTransient } from '../runtime/transient.ts';
import type { ConsumerRun, KafkaConsumer } from './kafka-client.ts';

/** What kafkajs takes for final though it passes: while brokers come up, or are too busy, none may know a group's coordinator. */
const PASSING_CRASHES: ReadonlySet<string> = new Set(['KafkaJSGroupCoordinatorNotFound']);

/** Between such a crash and the next start. */
const RESTART = { initialMs: 100, maxMs: 5_000 };

/**
 * kafkajs's `run()` resolves once consuming has started, and a crash it does not restart from goes quiet.
 * This settles when consuming ends: it resolves after the signal aborts and the group is left, and rejects
 * on a crash that does not pass. `onJoin` gets this member's partitions at every (re)join of the group.
 */
export function runConsumer(
  consumer: KafkaConsumer,
  config: ConsumerRun,
  signal: AbortSignal,
  onJoin: (assignment: Readonly<Record<string, readonly number[]>>) => void = () => undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    let crashes = 0;
    const startAgain = async (): Promise<void> => {
      for (; !signal.aborted; crashes++) {
        await sleep(backoffMs(crashes, RESTART), signal);
        if (signal.aborted) return;
        try {
          await consumer.connect();
          // One that was told to stop meanwhile has disconnected already.
          if (signal.aborted) await consumer.disconnect();
          else await consumer.run(config);
          crashes += 1;
          return;
        } catch (error) {
          if (classifyTransient(error) !== undefined) continue;
          reject(error);
          return;
        }
      }
    };
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      crashes = 0;
      onJoin(payload.memberAssignment);
    });
    consumer.on(consumer.events.CRASH, ({ payload: { restart, error } }) => {
      if (restart || signal.aborted) return;
      if (PASSING_CRASHES.has(error.name)) void startAgain();
      else reject(new Error('the Kafka consumer crashed', { cause: error }));
    });
    signal.addEventListener('abort', () => consumer.disconnect().then(resolve, reject), { once: true });
    consumer.run(config).catch(reject);
  });
}

/** Group settings of every consumer: a dead member is noticed after `sessionTimeout`, so this bounds a takeover. */
export const GROUP_SETTINGS = {
  sessionTimeout: 10_000,
  heartbeatInterval: 1_000,
  rebalanceTimeout: 15_000,
  // The broker answers a fetch as soon as there is one byte; this only bounds the wait on a quiet topic.
  maxWaitTimeInMs: 500,
  retry: { initialRetryTime: 50, multiplier: 2, maxRetryTime: 2_000, retries: 20 },
} as const;
