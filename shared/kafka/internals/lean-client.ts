import { createRequire } from 'node:module';
import { crc32c } from './crc32c.ts';
import { decodeRecords } from './decode-records.ts';

const require = createRequire(import.meta.url);

const CHECKSUM = 'kafkajs/src/protocol/recordBatch/crc32C/index.js';
const DECODER = 'kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js';

/** kafkajs's reader of one partition's part of a fetch: a length, then record batches. */
interface FetchDecoder {
  offset: number;
  canReadBytes(count: number): boolean;
  readInt32(): number;
  readBytes(count: number): Buffer;
}

type DecodeMessages = (decoder: FetchDecoder) => Promise<unknown[]>;

let isLean = false;

/**
 * Puts two functions of ours in the place of kafkajs's own: the checksum of a batch that is sent, and the decoding of
 * batches that were fetched. Its own take a byte a step, and some fifteen objects a record, which is a third of what an
 * export costs. kafkajs loads what speaks a version of a request when it first makes one, so this comes in time before a
 * client is used; what came before goes on as it was. Its version is pinned, and a test compares the two. Safe to call again.
 */
export function makeClientLean(): void {
  if (isLean) return;
  isLean = true;
  replaceModule(CHECKSUM, (bytes: Buffer) => crc32c(bytes));
  const original: DecodeMessages = require(DECODER);
  const decode: DecodeMessages = async (decoder) => {
    const start = decoder.offset;
    const byteCount = decoder.readInt32();
    if (byteCount <= 0 || !decoder.canReadBytes(byteCount)) return [];
    const records = decodeRecords(decoder.readBytes(byteCount));
    if (records !== undefined) return records;
    decoder.offset = start;
    return original(decoder);
  };
  replaceModule(DECODER, decode);
}

/** What requires the module from now on gets `exports`. */
function replaceModule(name: string, exports: unknown): void {
  require(name);
  const module = require.cache[require.resolve(name)];
  if (module === undefined) throw new Error(`kafkajs has no module ${name}`);
  module.exports = exports;
}
