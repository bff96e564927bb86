import type { TopicMessages } from 'kafkajs';
import type { MessageCodec } from '../../../shared/kafka/messages.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { ChangeMessage } from '../changes/change-messages.ts';
import { type CaptureProgress, toCaptureState } from '../progress/capture-progress.ts';
import type { Batch } from './batch.ts';
import type { Lanes } from './lanes.ts';

/** A change that the topic does not take. Leaving it out would be a hole in the feed, so capture stops at it. */
export class ChangeTooLargeError extends Error {
  override readonly name = 'ChangeTooLargeError';

  constructor(topic: string, key: string, bytes: number, limitBytes: number) {
    super(
      `the change of ${key} has ${bytes} bytes, and topic ${topic} takes ${limitBytes}: raise its max.message.bytes ` +
        "above that, and the brokers' replica.fetch.max.bytes with it; capture then goes on with this change",
    );
  }
}

export interface Publisher {
  /**
   * Publishes a batch and how far the feed has come with it, both or neither.
   *
   * @throws ChangeTooLargeError naming the row
   */
  publish(batch: Batch, progress: CaptureProgress): Promise<void>;
}

export interface PublisherDeps {
  readonly lanes: Lanes;
  readonly codec: MessageCodec;
  readonly topics: Topics;
  readonly slotName: string;
  /** `max.message.bytes` of the changes topic, which the broker applies to all records of one partition in one request. */
  readonly maxMessageBytes: number;
}

/** Room for a record's headers, and for the state and the record batch's own header. */
const RECORD_OVERHEAD_BYTES = 100;
const REQUEST_OVERHEAD_BYTES = 1_000;

export function createPublisher({
  lanes,
  codec,
  topics,
  slotName,
  maxMessageBytes,
}: PublisherDeps): Publisher {
  const limitBytes = maxMessageBytes - REQUEST_OVERHEAD_BYTES;
  return {
    async publish(batch, progress) {
      const state = await codec.encode('CaptureState', slotName, toCaptureState(slotName, progress));
      const seals = await Promise.all(
        batch.seals.map(({ jobId, token, commitLsn }) =>
          codec.encode('FeedSealed', jobId, { job_id: jobId, token, commit_lsn: Number(commitLsn) }),
        ),
      );
      const requests = splitByBytes(batch.changes, topics.changes, limitBytes).map(
        (messages): TopicMessages[] => [{ topic: topics.changes, messages }],
      );
      const last = requests.at(-1) ?? [];
      if (requests.length === 0) requests.push(last);
      if (seals.length > 0) last.push({ topic: topics.jobs, messages: seals });
      last.push({ topic: topics.capture, messages: [{ ...state, partition: 0 }] });
      await lanes.publish(requests);
    },
  };
}

/** Cuts the changes, in their order, into runs that a broker takes as one request. Mostly there is one run. */
function splitByBytes(
  changes: readonly ChangeMessage[],
  topic: string,
  limitBytes: number,
): ChangeMessage[][] {
  const runs: ChangeMessage[][] = [];
  let runBytes = 0;
  for (const change of changes) {
    const bytes = change.value.length + Buffer.byteLength(change.key) * 2 + RECORD_OVERHEAD_BYTES;
    if (bytes > limitBytes) throw new ChangeTooLargeError(topic, change.key, bytes, limitBytes);
    if (runs.length === 0 || runBytes + bytes > limitBytes) {
      runs.push([]);
      runBytes = 0;
    }
    runs.at(-1)?.push(change);
    runBytes += bytes;
  }
  return runs;
}
