import type { MessageHeaders } from '../../protocol/headers.ts';
import type { ReceivedMessage } from '../kafka-client.ts';

/** A record batch, as the package decodes it. */
export interface RecordsBatch {
  readonly firstOffset: bigint;
  readonly lastOffsetDelta: number;
  readonly attributes: number;
  readonly firstTimestamp: bigint;
  readonly producerId: bigint;
  readonly records: readonly DecodedRecord[];
}

interface DecodedRecord {
  readonly offsetDelta: number;
  readonly timestampDelta: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [Buffer | null, Buffer | null])[];
}

/** What a fetch brings of one partition. */
export interface FetchedPartition {
  readonly records?: readonly RecordsBatch[] | null;
  readonly abortedTransactions?:
    | readonly { readonly producerId: bigint; readonly firstOffset: bigint }[]
    | null;
}

export interface CommittedRecords {
  readonly messages: ReceivedMessage[];
  /** Of whatever was fetched, be it a marker or aborted. */
  readonly lastOffset: bigint;
}

const IS_TRANSACTIONAL = 0x10;
const IS_CONTROL = 0x20;
/** In the key of a marker, behind two bytes of version. */
const MARKER_TYPE_AT = 2;
const ABORT = 0;

/**
 * The committed records from `from` on; undefined when nothing was fetched. The package's own filter of aborted records keeps
 * one transaction of each producer, and only one whose marker is in the same fetch, so it lets others through.
 */
export function readCommitted(
  { records, abortedTransactions }: FetchedPartition,
  from: bigint,
): CommittedRecords | undefined {
  if (!records?.length) return undefined;
  const begins = [...(abortedTransactions ?? [])].sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const aborting = new Set<bigint>();
  const messages: ReceivedMessage[] = [];
  let lastOffset = from - 1n;
  for (const batch of records) {
    const last = batch.firstOffset + BigInt(batch.lastOffsetDelta);
    if (last > lastOffset) lastOffset = last;
    for (let begin = begins[0]; begin !== undefined && begin.firstOffset <= last; begin = begins[0]) {
      aborting.add(begin.producerId);
      begins.shift();
    }
    if ((batch.attributes & IS_CONTROL) !== 0) {
      if (isAbort(batch)) aborting.delete(batch.producerId);
      continue;
    }
    if ((batch.attributes & IS_TRANSACTIONAL) !== 0 && aborting.has(batch.producerId)) continue;
    for (const record of batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      if (offset >= from) messages.push(toMessage(batch, record, offset));
    }
  }
  return { messages, lastOffset };
}

/** A marker that the broker has emptied says nothing, and nothing that it ended is left. */
function isAbort({ records }: RecordsBatch): boolean {
  const key = records[0]?.key;
  return key != null && key.readInt16BE(MARKER_TYPE_AT) === ABORT;
}

function toMessage({ firstTimestamp }: RecordsBatch, record: DecodedRecord, offset: bigint): ReceivedMessage {
  const { key, value, headers, timestampDelta } = record;
  return {
    key,
    value,
    offset: String(offset),
    timestamp: String(firstTimestamp + timestampDelta),
    headers: toHeaders(headers),
  };
}

function toHeaders(pairs: DecodedRecord['headers']): MessageHeaders {
  const headers: MessageHeaders = {};
  for (const [nameBytes, value] of pairs) {
    const name = String(nameBytes ?? '');
    if (value === null) continue;
    const earlier = headers[name];
    if (earlier === undefined) headers[name] = value;
    else headers[name] = Array.isArray(earlier) ? [...earlier, value] : [earlier, value];
  }
  return headers;
}
