import type { Admin } from 'kafkajs';

/** End offsets of a topic's partitions. */
export type TopicEnd = ReadonlyMap<number, bigint>;

/** Offsets of a partition: first (`low`) and end (`high`). */
interface Bounds {
  readonly low: bigint;
  readonly high: bigint;
}

/**
 * The end offsets of a topic at the first question about a key. Once the consumer's offset has passed this end offset, a record
 * it has not seen is lost. A consumer never passes deleted records, so those are found by the topic's present offsets.
 *
 * It works in rounds, and queries Kafka once per topic and round. Ask only about records that were in the topic before the
 * round's first question.
 */
export class LogEnds {
  readonly #admin: Pick<Admin, 'fetchTopicOffsets'>;
  #recorded = new Map<string, TopicEnd>();
  #asked = new Set<string>();
  /** Offsets of the current round, which ends with `forgetUnasked`. */
  #bounds = new Map<string, Promise<ReadonlyMap<number, Bounds>>>();
  /** Found deleted in this round, and in the one before. */
  #gone = new Set<string>();
  #goneBefore = new Set<string>();

  constructor(admin: Pick<Admin, 'fetchTopicOffsets'>) {
    this.#admin = admin;
  }

  /** The end of `topic` as it was at the first call with this `key`. */
  async recordedEnd(key: string, topic: string): Promise<TopicEnd> {
    this.#asked.add(key);
    const known = this.#recorded.get(key);
    if (known !== undefined) return known;
    const bounds = await this.#boundsOf(topic);
    const end = new Map([...bounds].map(([partition, { high }]) => [partition, high]));
    this.#recorded.set(key, end);
    return end;
  }

  /**
   * Whether the records of a partition up to the recorded end are gone: deleted, or in a topic that was recreated. True from the
   * second round on, so that a writer has time to write what it fetched before.
   */
  async isGone(key: string, topic: string, partition: number): Promise<boolean> {
    const end = (await this.recordedEnd(key, topic)).get(partition) ?? 0n;
    const bounds = (await this.#boundsOf(topic)).get(partition);
    if (bounds === undefined || (bounds.low < end && end <= bounds.high)) return false;
    const name = `${key}/${partition}`;
    this.#gone.add(name);
    return this.#goneBefore.has(name);
  }

  /** Ends a round, and forgets the keys without a question in it. */
  forgetUnasked(): void {
    this.#recorded = new Map([...this.#recorded].filter(([key]) => this.#asked.has(key)));
    this.#asked = new Set();
    this.#bounds = new Map();
    this.#goneBefore = this.#gone;
    this.#gone = new Set();
  }

  #boundsOf(topic: string): Promise<ReadonlyMap<number, Bounds>> {
    const known = this.#bounds.get(topic);
    if (known !== undefined) return known;
    const asked = this.#admin
      .fetchTopicOffsets(topic)
      .then(
        (offsets) =>
          new Map(
            offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]),
          ),
      );
    this.#bounds.set(topic, asked);
    asked.catch(() => this.#bounds.delete(topic));
    return asked;
  }
}
