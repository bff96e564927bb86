import { readFile } from 'node:fs/promises';
import { type MessageHeaders, readTypeHeader, toTypeHeader } from '../protocol/headers.ts';
import type { Subjects } from '../protocol/names.ts';
import { currentTrace } from '../runtime/tracing.ts';
import { readRegistryId } from '../values/wire-format.ts';
import type { AvroSchemaJson, Registry } from './registry.ts';

/** Every command and job event with its fields; the Avro schemas of the same names are in `schemas/avro/`. */
export interface Messages {
  ExtractExport: { job_id: string };
  ExtractChunk: { job_id: string; resource: string; chunk: number; run_attempt: number };
  CancelJob: { job_id: string };
  JobCreated: { job_id: string; kind: JobKind; account_id: string | null };
  JobStarted: { job_id: string; kind: JobKind; attempt: number };
  ChunkExtracted: { job_id: string; resource: string; chunk: number; attempt: number; rows: number };
  ChunkWritten: { job_id: string; resource: string; chunk: number; attempt: number; rows: number };
  FeedSealed: { job_id: string; token: string; commit_lsn: number };
  JobCompleted: { job_id: string; kind: JobKind; rows: number };
  JobFailed: { job_id: string; kind: JobKind; code: string; message: string };
  JobCancelled: { job_id: string; kind: JobKind };
  CaptureState: CaptureStateMessage;
  CaptureTables: CaptureTablesMessage;
}

export type JobKind = 'export' | 'bulk';

/** LSNs and transaction IDs are plain numbers here: they stay below 2^53 for the first nine petabytes of WAL. */
export interface CaptureStateMessage {
  slot: string;
  system_id: string;
  timeline: number;
  last_commit_lsn: number;
  last_index: number;
  passed_lsn: number;
  settled_lsn: number;
  snapshot: string;
  unsettled: { commit_lsn: number; xid: number }[];
  unsettled_xmin: number | null;
  /**
   * Offsets of the `CaptureTables` that this state has its tables and catalog in, by their numbers. Null or absent in a
   * record of an earlier version, which has them itself.
   */
  table_records?: number[] | null;
  tables?: { resource: string; identity: string }[];
  /** Absent in a record of an earlier version. */
  set_aside?: SetAsideMessage[];
  /** How far changes are counted, by partition; see `ChainLink`. Absent in a record of an earlier version. */
  chain?: { id: string; seqs: number[] } | null;
  /** By what catalog changes are written; see `catalogFingerprint`. Empty in a record of a much earlier version. */
  catalog?: { resource: string; fingerprint: string }[];
}

/** Some of the resources: those of the catalog in its order, then those that have left it. */
export interface CaptureTablesMessage {
  slot: string;
  /** Counts the records from 0. */
  number: number;
  tables: CaptureTable[];
}

/** How a resource stands in the feed. */
export interface CaptureTable {
  resource: string;
  /** The form of its table as announced; null for a table that was never seen. */
  identity: string | null;
  /** Of its entry in the catalog, see `catalogFingerprint`; null for a resource that has left the catalog. */
  fingerprint: string | null;
}

/** A resource whose changes are passed over for now. */
export interface SetAsideMessage {
  resource: string;
  reason: string;
  detail: string;
  commit_lsn: number;
  from_index: number;
  /** Epoch milliseconds. */
  since: number;
  row_key: string[] | null;
  is_remind_due: boolean;
}

export type MessageType = keyof Messages;

/** A decoded message. `at` is when it was made, in epoch milliseconds. */
export type Message = { [T in MessageType]: { type: T; value: Messages[T] & { at: number } } }[MessageType];

const SCHEMA_FILES: Record<MessageType, string> = {
  ExtractExport: 'commands/extract-export',
  ExtractChunk: 'commands/extract-chunk',
  CancelJob: 'commands/cancel-job',
  JobCreated: 'jobs/job-created',
  JobStarted: 'jobs/job-started',
  ChunkExtracted: 'jobs/chunk-extracted',
  ChunkWritten: 'jobs/chunk-written',
  FeedSealed: 'jobs/feed-sealed',
  JobCompleted: 'jobs/job-completed',
  JobFailed: 'jobs/job-failed',
  JobCancelled: 'jobs/job-cancelled',
  CaptureState: 'capture/capture-state',
  CaptureTables: 'capture/capture-tables',
};

export interface EncodedMessage {
  key: string;
  value: Buffer;
  headers: MessageHeaders;
}

export interface MessageCodec {
  /**
   * The message ready for a producer. Its type stands in the `type` header too, so that a reader can pass over it unread, and
   * the span that it is made in is in `traceparent`.
   */
  encode<T extends MessageType>(
    type: T,
    key: string,
    value: Messages[T],
    atMs?: number,
  ): Promise<EncodedMessage>;
  /** The ID that messages of the type carry now. It changes when the registry had lost the schema. */
  schemaId(type: MessageType): Promise<number>;
  /** @returns undefined for a type this version does not know. @throws when the registry has another schema under its ID */
  decode(message: { value: Buffer | null; headers?: MessageHeaders }): Promise<Message | undefined>;
}

export function isMessageType(name: string): name is MessageType {
  return Object.hasOwn(SCHEMA_FILES, name);
}

/** @param subjects by the TOPIC_PREFIX of the topics that the messages are in */
export function createMessageCodec(registry: Registry, subjects: Subjects): MessageCodec {
  const schemas = new Map<MessageType, AvroSchemaJson>();
  /** The registry keeps the ID, and has another one once it was emptied. */
  const schemaId = async (type: MessageType): Promise<number> => {
    const schema = schemas.get(type) ?? (await readSchema(type));
    schemas.set(type, schema);
    return registry.register(subjects.ofRecord(schema), schema);
  };
  return {
    schemaId,
    async encode(type, key, value, atMs = Date.now()) {
      const headers = toTypeHeader(type, currentTrace()?.traceparent);
      const id = await schemaId(type);
      return { key, value: await registry.encode(id, { ...value, at: atMs }), headers };
    },
    async decode({ value, headers }) {
      const type = readTypeHeader(headers);
      if (value === null || !isMessageType(type)) return undefined;
      // A registry that was emptied gives its IDs again, and another type's fields may be the same.
      const id = readRegistryId(value);
      let { name } = await registry.fetch(id);
      if (name !== type) {
        registry.forget(id);
        ({ name } = await registry.fetch(id));
      }
      if (name !== type) throw new Error(`a ${type} cannot be read: schema ${id} of the registry is ${name}`);
      return { type, value: await registry.decode(value) } as Message;
    },
  };
}

async function readSchema(type: MessageType): Promise<AvroSchemaJson> {
  const file = new URL(`../../schemas/avro/${SCHEMA_FILES[type]}.avsc`, import.meta.url);
  return JSON.parse(await readFile(file, 'utf8')) as AvroSchemaJson;
}
