import type { Pool } from 'pg';
import { deleteOutbox, isOutboxEmpty, type OutboxRow, readOutbox } from '../../shared/control/outbox.ts';
import type { KafkaProducer } from '../../shared/kafka/kafka-client.ts';
import {
  isMessageType,
  type MessageCodec,
  type Messages,
  type MessageType,
} from '../../shared/kafka/messages.ts';
import { inTransaction } from '../../shared/postgres/transaction.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import type { Notifier } from '../../shared/runtime/notifier.ts';
import { backoffMs } from '../../shared/runtime/retry.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import { type OpenSpan, runInSpan, startSpan } from '../../shared/runtime/tracing.ts';
import type { Worker } from '../../shared/runtime/worker.ts';

export interface RelayDeps {
  readonly pool: Pool;
  readonly producer: Pick<KafkaProducer, 'send'>;
  readonly codec: Pick<MessageCodec, 'encode'>;
  readonly topics: Readonly<Record<'commands' | 'jobs', string>>;
  readonly notifier: Notifier;
  /** Connects and prepares the topics. Called again until it succeeds. */
  readonly prepare: () => Promise<void>;
  readonly log: Log;
}

/** Other services write to the outbox too, and do not notify this process. */
const POLL_MS = 500;

const BATCH_SIZE = 200;

/** The transaction stays open while Kafka takes the batch, so a hanging broker must not hold it for long. */
const SEND_TIMEOUT_MS = 15_000;

const BACKOFF = { initialMs: 100, maxMs: 5_000 };

/**
 * Relays the outbox to Kafka in order. Rows are deleted in the transaction that read them, after Kafka has
 * acknowledged them. A crash in between sends some messages again, which every consumer tolerates, and loses
 * none. One relay works at a time; the others are on standby. A broker that is down is retried.
 */
export function createOutboxRelay(deps: RelayDeps): Worker & { isRunning(): boolean } {
  let isRunning = false;
  const reached = Promise.withResolvers<void>();
  const run = async (signal: AbortSignal) => {
    isRunning = true;
    reached.resolve();
    let failureCount = 0;
    let isPrepared = false;
    while (!signal.aborted) {
      try {
        if (!isPrepared) await deps.prepare();
        isPrepared = true;
        const count = await relayBatch(deps);
        failureCount = 0;
        if (count < BATCH_SIZE) await deps.notifier.wait(POLL_MS, signal);
      } catch (error) {
        // The operator must correct topics that do not fit; retries would only hide that.
        if (error instanceof SetupError) throw error;
        const delayMs = backoffMs(failureCount, BACKOFF);
        const write = failureCount < 3 ? deps.log.warn : deps.log.error;
        write('outbox.relay_failed', { failureCount: failureCount + 1, retryInMs: delayMs, error });
        failureCount += 1;
        await sleep(delayMs, signal);
      }
    }
    isRunning = false;
  };
  return { name: 'outbox-relay', ready: reached.promise, run, isRunning: () => isRunning };
}

async function relayBatch({ pool, producer, codec, topics, log }: RelayDeps): Promise<number> {
  if (await isOutboxEmpty(pool)) return 0;
  return inTransaction(pool, async (db) => {
    const rows = await readOutbox(db, BATCH_SIZE);
    if (rows.length === 0) return 0;
    const spans = rows.map((row) => startSendSpan(row, topics));
    const messages = await Promise.all(rows.map((row, at) => encode(row, spans[at], codec)));
    const toSend = rows.map((row, at) => ({ topic: topics[row.topic], key: row.key, message: messages[at] }));
    // One request for each key, so for one partition: over several, kafkajs may pass over some (`assert-written.ts`).
    const requests = Map.groupBy(toSend, ({ topic, key }) => `${topic} ${key}`);
    const sent = [...requests.values()].map((own) =>
      producer.send({
        topic: own[0]?.topic ?? '',
        messages: own.flatMap(({ message }) => message ?? []),
      }),
    );
    await withTimeout(Promise.all(sent));
    for (const span of spans) span?.end();
    await deleteOutbox(
      db,
      rows.map(({ id }) => id),
    );
    log.debug('outbox.relayed', { count: rows.length });
    return rows.length;
  });
}

/** Undefined for a message that is not part of a trace. */
function startSendSpan(
  { traceparent, topic, type, key }: OutboxRow,
  topics: RelayDeps['topics'],
): OpenSpan | undefined {
  if (traceparent === null) return undefined;
  return startSpan(`send ${topic}`, {
    kind: 'producer',
    parent: traceparent,
    attributes: {
      'messaging.system': 'kafka',
      'messaging.destination.name': topics[topic],
      'tandem.message_type': type,
      'tandem.job_id': key,
    },
  });
}

/** Behind its span, if it has one, come those who read it. */
function encode(
  { type, key, payload, created_at }: OutboxRow,
  span: OpenSpan | undefined,
  codec: RelayDeps['codec'],
) {
  if (!isMessageType(type)) throw new Error(`the outbox holds a message of the unknown type ${type}`);
  const work = () => codec.encode(type, key, payload as Messages[MessageType], created_at.getTime());
  return span === undefined ? work() : runInSpan(span, work);
}

async function withTimeout(sent: Promise<unknown>): Promise<void> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new Error(`Kafka did not take a batch within ${SEND_TIMEOUT_MS} ms`)),
    SEND_TIMEOUT_MS,
  );
  try {
    await Promise.race([sent, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
