import type { Admin } from 'kafkajs';
import { waitFor } from '../support/wait-for.ts';

/** Waits until every replica of every partition has all records. */
export async function untilInSync(admin: Admin, topics: readonly string[]): Promise<void> {
  await waitFor('all replicas to be in step', async () => {
    const metadata = await admin.fetchTopicMetadata({ topics: [...topics] }).catch(() => undefined);
    return metadata?.topics.every(({ partitions }) =>
      partitions.every(({ replicas, isr }) => isr.length === replicas.length),
    );
  });
}
