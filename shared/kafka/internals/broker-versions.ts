import type { Kafka } from 'kafkajs';
import type { ApiVersions } from '../kafka-client.ts';
import { type Broker, createCluster } from './cluster.ts';

/** A broker of kafkajs's can tell more than transactions need. */
interface Versioned {
  apiVersions(): Promise<ApiVersions>;
}

/**
 * Asks each broker which requests it takes. kafkajs asks one of them, and keeps the answer to itself.
 *
 * @returns by the broker's ID
 */
export async function readApiVersions(
  kafka: Kafka,
  nodeIds: readonly number[],
): Promise<ReadonlyMap<number, ApiVersions>> {
  const cluster = createCluster(kafka);
  try {
    await cluster.connect();
    await cluster.refreshMetadata();
    return new Map(
      await Promise.all(
        nodeIds.map(async (nodeId) => {
          const broker = (await cluster.findBroker({ nodeId })) as Broker & Versioned;
          return [nodeId, await broker.apiVersions()] as const;
        }),
      ),
    );
  } finally {
    await cluster.disconnect().catch(() => undefined);
  }
}
