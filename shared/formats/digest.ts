import type { EncodedFile, Format } from './format.ts';
import { BUCKETS, createRecordDigester, DigestSum } from './record-digest.ts';

const LINE_FEED = 0x0a;
/** Lines of records go on in pieces of about this size. */
const PIECE_BYTES = 64 * 1_024;

/**
 * The digest of a resource instead of its rows: a line for each bucket with the number of records whose key is in it, and the
 * sum of their digests. With `buckets`, it is a line for each record of these buckets instead, in the order of the rows.
 */
export function createDigest(buckets: readonly number[] | null): Format {
  return {
    suffix: '.digest.jsonl',
    encode(lines, { columns }): EncodedFile {
      const sums = Array.from({ length: BUCKETS }, () => new DigestSum());
      const listed = buckets === null ? undefined : new Set(buckets);
      const digestOf = createRecordDigester(columns.filter(({ isKey }) => isKey).map(({ name }) => name));
      const total = () => {
        const sum = new DigestSum();
        for (const each of sums) sum.addAll(each);
        return sum;
      };

      async function* bytes(): AsyncGenerator<Buffer> {
        let text = '';
        for await (const some of linesOf(lines)) {
          for (const line of some) {
            const { bucket, key, digest } = digestOf(line);
            sums[bucket]?.add(digest);
            if (listed?.has(bucket) !== true) continue;
            text += `{"bucket":${bucket},"key":${key.toString()},"digest":"${digest.toString('hex')}"}\n`;
          }
          if (text.length < PIECE_BYTES) continue;
          yield Buffer.from(text);
          text = '';
        }
        if (listed === undefined) text = sums.map(bucketLine).join('');
        if (text !== '') yield Buffer.from(text);
      }

      return {
        bytes: bytes(),
        rowCount: () => total().rows,
        columnsAsText: () => [],
        digest: () => total().toString(),
      };
    },
  };
}

function bucketLine(sum: DigestSum, bucket: number): string {
  return `{"bucket":${bucket},"rows":${sum.rows},"digest":"${sum}"}\n`;
}

/** The lines that end in each piece, without their line feeds. Each row ends in the only line feed it has. */
async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
  let rest: Buffer[] = [];
  for await (const piece of pieces) {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = piece.indexOf(LINE_FEED); end !== -1; end = piece.indexOf(LINE_FEED, start)) {
      const last = piece.subarray(start, end);
      lines.push(rest.length === 0 ? last : Buffer.concat([...rest, last]));
      rest = [];
      start = end + 1;
    }
    if (start < piece.length) rest.push(piece.subarray(start));
    yield lines;
  }
}
