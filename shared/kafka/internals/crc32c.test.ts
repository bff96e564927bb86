import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';

// The function beneath the module that `lean-client.ts` replaces.
const kafkajsCrc32c = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C/crc32C.js') as (
  bytes: Uint8Array,
) => number;

test('the check value of the polynomial’s catalogue', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(0))).toBe(0);
});

test('it is the checksum that kafkajs has, at any length and alignment', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(8), (bytes, start) => {
      const piece = bytes.subarray(start);
      expect(crc32c(piece)).toBe(kafkajsCrc32c(piece) >>> 0);
    }),
  );
});
