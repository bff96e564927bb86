import { promisify } from 'node:util';
import zlib from 'node:zlib';
import kafkajs from 'kafkajs';

// Node can't see these names among the package's exports, which are CommonJS; only the whole of them.
const { CompressionCodecs, CompressionTypes } = kafkajs;

/** What kafkajs hands records to be compressed in. */
interface Encoded {
  readonly buffer: Buffer;
}

interface Codec {
  compress(encoded: Encoded): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

/** WebAssembly, loaded when the first such batch comes. */
const loadWasm = () => import('@platformatic/wasm-utils');

/** Kafka frames Snappy as Java's library does: this, two versions, and blocks with their lengths. */
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const LENGTH_BYTES = 4;

type CodecType = 2 | 3 | 4;

const CODECS: Readonly<Record<CodecType, Codec>> = {
  [CompressionTypes.Snappy]: {
    compress: async ({ buffer }) => (await loadWasm()).snappyCompress(buffer),
    async decompress(buffer) {
      const { snappyDecompress } = await loadWasm();
      if (!buffer.subarray(0, XERIAL.length).equals(XERIAL)) return snappyDecompress(buffer);
      const blocks: Buffer[] = [];
      for (let at = XERIAL_HEADER_BYTES; at < buffer.length; ) {
        const begin = at + LENGTH_BYTES;
        at = begin + buffer.readUInt32BE(at);
        blocks.push(snappyDecompress(buffer.subarray(begin, at)));
      }
      return Buffer.concat(blocks);
    },
  },
  [CompressionTypes.LZ4]: {
    compress: async ({ buffer }) => (await loadWasm()).lz4Compress(buffer),
    decompress: async (buffer) => (await loadWasm()).lz4Decompress(buffer),
  },
  [CompressionTypes.ZSTD]: {
    compress: ({ buffer }) => promisify(zlib.zstdCompress)(buffer),
    decompress: (buffer) => promisify(zlib.zstdDecompress)(buffer),
  },
};

/**
 * Teaches kafkajs the codecs that it leaves to others: brokers may be told to keep records compressed by any
 * (`compression.type`), and a consumer that does not know it stands still. Safe to call again.
 */
export function addCodecs(): void {
  for (const [type, codec] of Object.entries(CODECS))
    CompressionCodecs[Number(type) as CodecType] = () => codec;
}
