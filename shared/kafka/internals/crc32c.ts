/** Castagnoli's polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

const STRIDE = 8;
const TABLE_SIZE = 256;

/** `TABLES[n][byte]`: what `byte` does to the checksum once `n` further bytes have gone by. */
const TABLES = makeTables();
// A name for each, because looking it up for every byte would cost as much as the byte.
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as unknown as EightTables;

type EightTables = readonly [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/**
 * CRC-32C of the bytes, unsigned, as Kafka's record batches have it. It takes eight bytes a step ("slicing by eight"), which
 * is three times as fast as one, and at a million rows of an export that is a second of a processor.
 */
export function crc32c(bytes: Uint8Array): number {
  const { length } = bytes;
  const strided = length - (length % STRIDE);
  let crc = 0xffffffff;
  let at = 0;
  for (; at < strided; at += STRIDE) {
    // The indices are in range by construction; the compiler can't see it.
    crc =
      (T7[((bytes[at] as number) ^ crc) & 0xff] as number) ^
      (T6[((bytes[at + 1] as number) ^ (crc >>> 8)) & 0xff] as number) ^
      (T5[((bytes[at + 2] as number) ^ (crc >>> 16)) & 0xff] as number) ^
      (T4[(bytes[at + 3] as number) ^ (crc >>> 24)] as number) ^
      (T3[bytes[at + 4] as number] as number) ^
      (T2[bytes[at + 5] as number] as number) ^
      (T1[bytes[at + 6] as number] as number) ^
      (T0[bytes[at + 7] as number] as number);
  }
  for (; at < length; at += 1) crc = (T0[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

function makeTables(): Uint32Array[] {
  const tables = Array.from({ length: STRIDE }, () => new Uint32Array(TABLE_SIZE));
  const first = tables[0] as Uint32Array;
  for (let byte = 0; byte < TABLE_SIZE; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[byte] = crc;
  }
  for (let step = 1; step < STRIDE; step += 1) {
    const [table, before] = [tables[step] as Uint32Array, tables[step - 1] as Uint32Array];
    for (let byte = 0; byte < TABLE_SIZE; byte += 1) {
      const crc = before[byte] as number;
      table[byte] = (first[crc & 0xff] as number) ^ (crc >>> 8);
    }
  }
  return tables;
}
