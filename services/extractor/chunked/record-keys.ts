import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';

// The keys of a chunk's rows. They show where a record that was created or deleted later belongs among the rows.

const [pack, unpack] = [promisify(deflateRaw), promisify(inflateRaw)];

/** Neighbouring keys are similar, so the fastest level compresses nearly as well as the best. */
const LEVEL = 1;

/** @param recordKeys JSON arrays, which contain no line break */
export function packRecordKeys(recordKeys: readonly string[]): Promise<Buffer> {
  return pack(recordKeys.join('\n'), { level: LEVEL });
}

export async function unpackRecordKeys(packed: Buffer): Promise<string[]> {
  const text = (await unpack(packed)).toString();
  return text === '' ? [] : text.split('\n');
}
