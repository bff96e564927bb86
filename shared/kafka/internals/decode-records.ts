import { type BatchFacts, FetchedRecord } from './fetched-record.ts';
import { VarintCursor } from './varint-cursor.ts';

// A record batch of magic 2; see "Record Batch" in Kafka's protocol guide. Places are counted from its start.
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const ATTRIBUTES_AT = 21;
const FIRST_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const RECORD_COUNT_AT = 57;
const RECORDS_AT = 61;
/** The length is that of what follows it. */
const BEFORE_LENGTH_BYTES = 12;

const MAGIC = 2;
const COMPRESSION_MASK = 0x07;
const TIMED_BY_LOG_FLAG = 0x08;
const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;

/**
 * The records of the batches that a fetch brought for one partition. The last batch may be cut off, as the broker does not
 * look where a batch ends; it comes whole with the next fetch.
 *
 * @returns undefined when a batch is compressed or of an old format, which the client's own decoder reads
 * @throws RangeError when a batch is not what it says
 */
export function decodeRecords(bytes: Buffer): FetchedRecord[] | undefined {
  const records: FetchedRecord[] = [];
  for (let start = 0; start + RECORDS_AT <= bytes.length; ) {
    const end = start + BEFORE_LENGTH_BYTES + bytes.readInt32BE(start + LENGTH_AT);
    if (bytes[start + MAGIC_AT] !== MAGIC) return undefined;
    if (end > bytes.length) break;
    const attributes = bytes.readInt16BE(start + ATTRIBUTES_AT);
    if ((attributes & COMPRESSION_MASK) !== 0) return undefined;
    const facts: BatchFacts = {
      firstOffset: Number(bytes.readBigInt64BE(start)),
      firstTimestamp: bytes.readBigInt64BE(start + FIRST_TIMESTAMP_AT),
      maxTimestamp: bytes.readBigInt64BE(start + MAX_TIMESTAMP_AT),
      isTimedByLog: (attributes & TIMED_BY_LOG_FLAG) !== 0,
      isControlBatch: (attributes & CONTROL_FLAG) !== 0,
      producerId: String(bytes.readBigInt64BE(start + PRODUCER_ID_AT)),
      inTransaction: (attributes & TRANSACTIONAL_FLAG) !== 0,
    };
    if (!Number.isSafeInteger(facts.firstOffset)) return undefined;
    const cursor = new VarintCursor(bytes, start + RECORDS_AT);
    for (let rest = bytes.readInt32BE(start + RECORD_COUNT_AT); rest > 0; rest -= 1) {
      const recordBytes = cursor.read();
      const next = cursor.position + recordBytes;
      const record = new FetchedRecord(cursor, facts);
      if (recordBytes < 0 || cursor.position > next || next > end) {
        throw new RangeError('a record is not as long as it says');
      }
      records.push(record);
      cursor.position = next;
    }
    start = end;
  }
  return records;
}
