import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PartBuffer } from './part-buffer.ts';
import { MAX_PARTS, partBytes } from './s3-writer.ts';

test('what is added in pieces comes out in parts, each with the digest of its bytes', () => {
  const pieces = fc
    .array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 8 })
    .map((sizes) => sizes.map((size, index) => Buffer.alloc(size, `piece ${index}`)));
  fc.assert(
    fc.property(pieces, fc.integer({ min: 10_000, max: 300_000 }), (added, limit) => {
      const parts = [new PartBuffer(limit)];
      for (const piece of added) {
        let rest = piece;
        while (rest.length > 0) {
          const part = parts.at(-1);
          const taken = part?.isFull === false ? part.add(rest) : 0;
          if (taken === 0) parts.push(new PartBuffer(limit));
          rest = rest.subarray(taken);
        }
      }
      const filled = parts.map((part) => part.finish());
      expect(Buffer.concat(filled.map(({ body }) => body)).equals(Buffer.concat(added))).toBe(true);
      for (const { body, digest } of filled) {
        expect(body.length).toBeLessThanOrEqual(limit);
        expect(createHash('sha256').update(body).digest().equals(digest)).toBe(true);
      }
    }),
    { numRuns: 30 },
  );
});

test('the caller’s buffer may be used again', () => {
  const part = new PartBuffer(10);
  const piece = Buffer.from('abc');
  part.add(piece);
  piece.fill('x');
  expect(part.finish().body.toString()).toBe('abc');
});

test('the parts that a file may have hold 351 GiB', () => {
  let bytes = 0;
  for (let part = 1; part <= MAX_PARTS; part += 1) bytes += partBytes(part);
  expect(Math.floor(bytes / 1024 ** 3)).toBe(351);
});
