import type { Admin } from 'kafkajs';

/** End offsets of a topic's partitions. */
export type TopicEnd = ReadonlyMap<number, bigint>;

/**
 * Where a topic ended when something was first asked about. A reader that is past it has had everything that was
 * there then, so what it has not had by then is lost.
 */
export class LogEnds {
  readonly #admin: Pick<Admin, 'fetchTopicOffsets'>;
  #noted = new Map<string, TopicEnd>();
  #asked = new Set<string>();

  constructor(admin: Pick<Admin, 'fetchTopicOffsets'>) {
    this.#admin = admin;
  }

  /** The end of `topic` as it was at the first call with this `key`. */
  async notedFor(key: string, topic: string): Promise<TopicEnd> {
    this.#asked.add(key);
    const known = this.#noted.get(key);
    if (known !== undefined) return known;
    const offsets = await this.#admin.fetchTopicOffsets(topic);
    const end = new Map(offsets.map(({ partition, high }) => [partition, BigInt(high)]));
    this.#noted.set(key, end);
    return end;
  }

  /** Forgets the keys that were not asked for since the last call, so that no more are kept than are of interest. */
  forgetUnasked(): void {
    this.#noted = new Map([...this.#noted].filter(([key]) => this.#asked.has(key)));
    this.#asked = new Set();
  }
}
