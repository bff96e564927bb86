import { randomUUID } from 'node:crypto';
import type { World } from '../../deploy/demo/world.ts';
import { comparePositions, formatPosition, type Position } from '../../shared/domain/position.ts';
import { createKafka } from '../../shared/kafka/client.ts';
import { createRegistry } from '../../shared/kafka/registry.ts';
import { runConsumer } from '../../shared/kafka/run-consumer.ts';
import { silentLog } from '../../shared/runtime/log.ts';

export interface TopicFindings {
  readonly changes: number;
  /** Changes that name a bulk operation, by its ID. */
  readonly changesOfJob: ReadonlyMap<string, number>;
  readonly faults: string[];
}

/** Reads the whole changes topic as any `read_committed` consumer would, and looks for repeats and steps back. */
export async function readTopicFaults(world: World): Promise<TopicFindings> {
  const topic = `${world.prefix}.changes`;
  const brokers = world.env.KAFKA_BROKERS?.split(',') ?? [];
  const kafka = createKafka({ client: 'tuned', brokers, ssl: false, sasl: undefined }, 'chaos', silentLog);
  const registry = createRegistry(world.env.SCHEMA_REGISTRY_URL ?? '');
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();

  const last = new Map<number, Position>();
  const seen = new Set<string>();
  const changesOfJob = new Map<string, number>();
  const faults: string[] = [];
  let changes = 0;
  const open = new Set(ends.filter(({ low, high }) => low !== high).map(({ partition }) => partition));
  const stop = new AbortController();
  if (open.size === 0) return { changes, changesOfJob, faults };
  const consumer = kafka.consumer({ groupId: `${world.prefix}.chaos.${randomUUID()}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const endOf = (partition: number) => BigInt(ends.find((end) => end.partition === partition)?.high ?? '0');
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    // The last records of a partition may be control records, which no batch shows; its offset passes them.
    if (BigInt(payload.lastOffset) + 1n >= endOf(payload.partition)) open.delete(payload.partition);
    if (open.size === 0) stop.abort();
  });
  await runConsumer(
    consumer,
    {
      eachBatch: async ({ batch, heartbeat }) => {
        for (const { value } of batch.messages) {
          if (value === null) continue;
          const { source, op } = (await registry.decode(value)) as {
            op: string;
            source: { commit_lsn: number; index: number; bulk_job_id: string | null };
          };
          const at = { commitLsn: BigInt(source.commit_lsn), index: source.index };
          const name = formatPosition(at);
          changes += 1;
          const jobId = source.bulk_job_id;
          if (jobId !== null) changesOfJob.set(jobId, (changesOfJob.get(jobId) ?? 0) + 1);
          // A truncate is told to every partition, so it has the same position in each.
          if (op !== 'truncate' && seen.has(name)) faults.push(`change ${name} is in the topic twice`);
          seen.add(name);
          const before = last.get(batch.partition);
          if (before !== undefined && comparePositions(before, at) >= 0) {
            faults.push(`partition ${batch.partition}: ${name} after ${formatPosition(before)}`);
          }
          last.set(batch.partition, at);
        }
        await heartbeat();
      },
    },
    stop.signal,
  );
  return { changes, changesOfJob, faults: faults.slice(0, 20) };
}
