import { randomUUID } from 'node:crypto';
import type { DecodedChange, FilledColumns } from '../../shared/domain/change.ts';
import type { RowType } from '../../shared/domain/row-type.ts';
import { createKafka } from '../../shared/kafka/client.ts';
import type { ReceivedMessage } from '../../shared/kafka/kafka-client.ts';
import {
  type CaptureStateMessage,
  type CaptureTablesMessage,
  createMessageCodec,
  type Message,
  type Messages,
} from '../../shared/kafka/messages.ts';
import { createRegistry } from '../../shared/kafka/registry.ts';
import { subjectsOf } from '../../shared/protocol/names.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { type ChangeDecoder, createChangeDecoder } from '../../shared/values/change-codec.ts';
import { readRegistryId } from '../../shared/values/wire-format.ts';
import { KAFKA_CLIENT } from './kafka-client.ts';
import type { TestStack } from './stack.ts';

/** A change as a committed reader of the topic gets it. Rows are objects of wire texts, for short assertions. */
export interface ReadChange {
  readonly op: string;
  readonly account: string;
  readonly resource: string;
  readonly before: Record<string, string | null> | null;
  readonly after: Record<string, string | null> | null;
  readonly unchanged: readonly string[];
  readonly missing: readonly string[];
  readonly commitLsn: bigint;
  readonly index: number;
  readonly xid: bigint;
  readonly bulkJobId: string | null;
  readonly resetReason: string | undefined;
  readonly filled: FilledColumns | undefined;
  readonly key: string;
  readonly partition: number;
  readonly offset: string;
  readonly schemaId: number;
}

/** Reads what capture publishes from the start, as any consumer with `read_committed` would, and keeps it. */
export interface ChangeReader extends AsyncDisposable {
  readonly changes: readonly ReadChange[];
  /** With their tables and catalog in place. */
  readonly states: readonly CaptureStateMessage[];
  readonly seals: readonly Messages['FeedSealed'][];
}

export async function openChangeReader(stack: TestStack, prefix: string): Promise<ChangeReader> {
  const kafka = createKafka(
    { client: KAFKA_CLIENT, brokers: stack.kafkaBrokers.split(','), ssl: false, sasl: undefined },
    'test-reader',
    silentLog,
  );
  const registry = createRegistry(stack.schemaRegistryUrl);
  const messages = createMessageCodec(registry, subjectsOf(prefix));
  const decoders = new Map<number, ChangeDecoder>();
  const changes: ReadChange[] = [];
  const states: CaptureStateMessage[] = [];
  const seals: Messages['FeedSealed'][] = [];

  const decoderOf = async (schemaId: number) => {
    const known = decoders.get(schemaId);
    if (known !== undefined) return known;
    const made = createChangeDecoder(await registry.fetch(schemaId));
    decoders.set(schemaId, made);
    return made;
  };

  const keepChange = async (partition: number, message: ReceivedMessage) => {
    const value = message.value ?? Buffer.alloc(0);
    const schemaId = readRegistryId(value);
    const { rowType, decode } = await decoderOf(schemaId);
    const place = { key: message.key?.toString() ?? '', partition, offset: message.offset, schemaId };
    changes.push({ ...toReadChange(rowType, decode(value)), ...place });
  };

  const tableRecords = new Map<number, CaptureTablesMessage>();
  const keepMessage = (decoded: Message | undefined, offset: number) => {
    if (decoded?.type === 'CaptureTables') tableRecords.set(offset, decoded.value);
    if (decoded?.type === 'CaptureState') {
      const listed = (decoded.value.table_records ?? []).flatMap((at) => tableRecords.get(at)?.tables ?? []);
      states.push({
        ...decoded.value,
        tables: listed.flatMap(({ resource, identity }) =>
          identity === null ? [] : [{ resource, identity }],
        ),
        catalog: listed.flatMap(({ resource, fingerprint }) =>
          fingerprint === null ? [] : [{ resource, fingerprint }],
        ),
      });
    }
    if (decoded?.type === 'FeedSealed') seals.push(decoded.value);
  };

  const consumer = kafka.consumer({
    groupId: `${prefix}.reader.${randomUUID()}`,
    maxWaitTimeInMs: 250,
  });
  await consumer.connect();
  const topics = [`${prefix}.changes`, `${prefix}.capture`, `${prefix}.jobs`];
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      if (topic === `${prefix}.changes`) await keepChange(partition, message);
      else keepMessage(await messages.decode(message), Number(message.offset));
    },
  });
  return { changes, states, seals, [Symbol.asyncDispose]: () => consumer.disconnect() };
}

function toReadChange(
  rowType: RowType,
  change: DecodedChange,
): Omit<ReadChange, 'key' | 'partition' | 'offset' | 'schemaId'> {
  const toObject = (row: readonly (string | null)[] | null) =>
    row === null
      ? null
      : Object.fromEntries(rowType.columns.map(({ name }, place) => [name, row[place] ?? null]));
  const { op, account, resource, before, after, unchanged, missing, source } = change;
  return {
    op,
    account,
    resource,
    before: toObject(before),
    after: toObject(after),
    unchanged,
    missing,
    commitLsn: source.commitLsn,
    index: source.index,
    xid: source.xid,
    bulkJobId: source.bulkJobId,
    resetReason: change.resetReason,
    filled: change.filled,
  };
}
