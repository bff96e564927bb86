import type { Admin } from 'kafkajs';
import type { OwnKafkaCluster } from '../support/own-kafka.ts';
import { waitFor } from '../support/wait-for.ts';

/** The leader of each partition of these topics, by `topic/partition`. Fails while one has none. */
export async function leadersOf(
  admin: Admin,
  topics: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const metadata = await admin.fetchTopicMetadata({ topics: [...topics] });
  return new Map(
    metadata.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionId, leader }) => [`${name}/${partitionId}`, leader] as const),
    ),
  );
}

/** Waits until every replica of every partition has all records. */
export async function untilInSync(admin: Admin, topics: readonly string[]): Promise<void> {
  await waitFor('all replicas to be in step', async () => {
    const metadata = await admin.fetchTopicMetadata({ topics: [...topics] }).catch(() => undefined);
    return metadata?.topics.every(({ partitions }) =>
      partitions.every(({ replicas, isr }) => isr.length === replicas.length),
    );
  });
}

/**
 * Kills brokers with SIGKILL, always the one that leads the most partitions whose leader was not killed yet, until that is none.
 * Each is started again and in step before the next one goes.
 *
 * @param pause between a start and the next kill
 * @returns how often each broker was killed
 */
export async function killEveryLeader(
  { nodes }: OwnKafkaCluster,
  admin: Admin,
  topics: readonly string[],
  pause: () => Promise<void>,
): Promise<Record<string, number>> {
  const kills: Record<string, number> = {};
  const done = new Set<string>();
  for (;;) {
    await untilInSync(admin, topics);
    const left = [...(await leadersOf(admin, topics))].filter(([partition]) => !done.has(partition));
    if (left.length === 0) return kills;
    const byLeader = [...Map.groupBy(left, ([, leader]) => leader)];
    const [victim = -1, led = []] = byLeader.sort(([, a], [, b]) => b.length - a.length)[0] ?? [];
    const node = nodes.get(victim);
    if (node === undefined) throw new Error(`no broker ${victim} among those of the test`);
    for (const [partition] of led) done.add(partition);
    await node.kill();
    kills[`broker ${victim}`] = (kills[`broker ${victim}`] ?? 0) + 1;
    await waitFor('others to lead', async () => {
      const now = await leadersOf(admin, topics).catch(() => undefined);
      return now !== undefined && ![...now.values()].includes(victim);
    });
    // Everything goes on without it.
    await pause();
    await node.start();
  }
}
