import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';

// The keys of a chunk's rows. They say where a record that was made or deleted later stands among the rows.

const [pack, unpack] = [promisify(deflateRaw), promisify(inflateRaw)];

/** Keys follow each other closely, so the fastest level comes close to the best. */
const LEVEL = 1;

/** @param recordKeys JSON arrays, so none has a line break */
export function packRecordKeys(recordKeys: readonly string[]): Promise<Buffer> {
  return pack(recordKeys.join('\n'), { level: LEVEL });
}

export async function unpackRecordKeys(packed: Buffer): Promise<string[]> {
  const text = (await unpack(packed)).toString();
  return text === '' ? [] : text.split('\n');
}
