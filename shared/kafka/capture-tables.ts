import { readRegistryId } from '../values/wire-format.ts';
import type { KafkaClient, ReceivedMessage } from './kafka-client.ts';
import type { CaptureStateMessage, CaptureTable, CaptureTablesMessage, MessageCodec } from './messages.ts';

// A state of capture comes with every Kafka transaction, and tables and catalog hardly ever change. So they are in
// records of their own, which a state refers to by their offsets. The topic is compacted by key, and a record gets
// another key's offset only in the transaction of a state that refers to it: what the last state refers to is kept.

/** A record of tables, by where it is in the capture topic. */
export interface TableRecord {
  readonly offset: number;
  /** The registry's ID of the schema that it is written with. */
  readonly schemaId: number;
  readonly tables: readonly CaptureTable[];
}

/** Finds the tables of one state after the other. */
export interface TableRecords {
  /** A record that was read anyway. */
  add(record: Pick<ReceivedMessage, 'offset' | 'value'>, message: CaptureTablesMessage): void;
  /**
   * The records that the state refers to, in their order. Records that were not added are read from the topic. Undefined
   * for a state of an earlier version, which refers to none. An undefined element is a record that is gone.
   */
  of(state: CaptureStateMessage): Promise<readonly (TableRecord | undefined)[] | undefined>;
}

export function createTableRecords(
  kafka: Pick<KafkaClient, 'readRecords'>,
  codec: Pick<MessageCodec, 'decode'>,
  topic: string,
): TableRecords {
  /** By offset; besides those of the last state, only later ones. */
  const known = new Map<number, TableRecord & { readonly number: number }>();
  let last: readonly TableRecord[] = [];

  const add: TableRecords['add'] = (record, { number, tables }) => {
    const offset = Number(record.offset);
    known.set(offset, { offset, schemaId: readRegistryId(record.value ?? Buffer.alloc(0)), number, tables });
  };

  const read = async (offsets: readonly number[]) => {
    for (const record of await kafka.readRecords(topic, offsets)) {
      const decoded = record && (await codec.decode(record));
      if (record !== undefined && decoded?.type === 'CaptureTables') add(record, decoded.value);
    }
  };

  return {
    add,
    async of({ table_records: offsets }) {
      if (offsets == null) return undefined;
      if (offsets.length === last.length && last.every(({ offset }, number) => offset === offsets[number]))
        return last;
      const unread = offsets.filter((offset) => !known.has(offset));
      if (unread.length > 0) await read(unread);
      const found = offsets.map((offset, number) => {
        const record = known.get(offset);
        // A topic that was made again may have another record there.
        return record?.number === number ? record : undefined;
      });
      const least = Math.min(...offsets);
      for (const offset of known.keys()) if (offset < least) known.delete(offset);
      if (found.every((record) => record !== undefined)) last = found;
      return found;
    },
  };
}
