import type { Consumer, ConsumerRunConfig } from 'kafkajs';

/**
 * kafkajs's `run()` resolves once consuming has started, and a crash it does not restart from goes quiet.
 * This settles when consuming ends: it resolves after the signal aborts and the group is left, and rejects
 * on a crash. `onJoin` gets this member's partitions at every (re)join of the group.
 */
export function runConsumer(
  consumer: Consumer,
  config: ConsumerRunConfig,
  signal: AbortSignal,
  onJoin: (assignment: Readonly<Record<string, readonly number[]>>) => void = () => undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => onJoin(payload.memberAssignment));
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) reject(new Error('the Kafka consumer crashed', { cause: payload.error }));
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
  allowAutoTopicCreation: false,
  // The broker answers a fetch as soon as there is one byte; this only bounds the wait on a quiet topic.
  maxWaitTimeInMs: 500,
  retry: { initialRetryTime: 50, multiplier: 2, maxRetryTime: 2_000, retries: 20 },
} as const;
