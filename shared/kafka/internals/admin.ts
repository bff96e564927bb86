import type { Admin, Kafka, RetryOptions } from 'kafkajs';
import type { Log } from '../../runtime/log.ts';
import { retry } from '../../runtime/retry.ts';
import { type Cluster, findCreateCluster } from './cluster.ts';

/** `isolation_level` 0 in Kafka's protocol: what no transaction has decided on yet counts, too. */
const READ_UNCOMMITTED = 0;

/** Together some ten seconds: a leader is elected within one, and a caller that waits longer shall hear why. */
const ATTEMPTS = 12;
const BACKOFF = { initialMs: 20, maxMs: 2_000 };

export interface AdminOptions {
  readonly log: Log;
  readonly retry?: RetryOptions;
  /**
   * To such an admin a partition ends where its last record is. kafkajs gives an admin no choice, and has it ask for the last
   * *stable* offset, which stands still before a transaction until its marker is written to that partition; and a committed
   * transaction's markers reach its partitions one by one.
   */
  readonly isUncommitted?: boolean;
}

/**
 * An admin client that finds the offsets of a topic whose leaders move. kafkajs's own asks the leader that it knew up to five
 * minutes ago, and gives up at "not the leader", which a broker also says for a moment of a topic that is new.
 *
 * @throws Error when kafkajs is made otherwise than the version this was written for
 */
export function createAdmin(kafka: Kafka, { log, isUncommitted, ...options }: AdminOptions): Admin {
  const { key, create } = findCreateCluster(kafka);
  const clusters: Cluster[] = [];
  const watched: Kafka = Object.create(kafka, {
    [key]: {
      value: (asked: object) => {
        const cluster = create(isUncommitted ? { ...asked, isolationLevel: READ_UNCOMMITTED } : asked);
        clusters.push(cluster);
        return cluster;
      },
    },
  });
  const admin = watched.admin(options);
  return {
    ...admin,
    fetchTopicOffsets: (topic) =>
      retry(
        {
          what: `reading the offsets of ${topic}`,
          backoff: BACKOFF,
          maxAttempts: ATTEMPTS,
          isRetryable: (error) => (error as { retriable?: unknown }).retriable === true,
          // A broker that can't be reached now is the next attempt's failure, which says more.
          beforeRetry: () => Promise.allSettled(clusters.map((cluster) => cluster.refreshMetadata())),
          log,
        },
        () => admin.fetchTopicOffsets(topic),
      ),
  };
}
