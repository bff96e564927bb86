import { expect, test } from 'vitest';
import { rowsPerChunk } from './plan-chunks.ts';

const CHUNK_BYTES = 12_000_000;

test('a chunk has about the wanted size', () => {
  expect(rowsPerChunk({ bytes: 300_000_000, rowCount: 1_000_000 }, CHUNK_BYTES)).toBe(40_000);
});

test('very narrow and wide rows keep chunks between a thousand and fifty thousand rows, and huge ones above a hundred', () => {
  expect(rowsPerChunk({ bytes: 1_000_000, rowCount: 1_000_000 }, CHUNK_BYTES)).toBe(50_000);
  expect(rowsPerChunk({ bytes: 1e12, rowCount: 1_000 }, CHUNK_BYTES)).toBe(100);
  expect(rowsPerChunk({ bytes: 2_000_000_000, rowCount: 100_000 }, CHUNK_BYTES)).toBe(1_000);
  expect(rowsPerChunk({ bytes: 20_000_000_000, rowCount: 200_000 }, CHUNK_BYTES)).toBe(500);
  expect(rowsPerChunk({ bytes: 1_000_000, rowCount: 10_000 }, 1)).toBe(1_000);
});

test('a table that was never analyzed or is empty gets a middling size', () => {
  expect(rowsPerChunk({ bytes: 8_192, rowCount: -1 }, CHUNK_BYTES)).toBe(24_000);
  expect(rowsPerChunk({ bytes: 0, rowCount: 0 }, CHUNK_BYTES)).toBe(24_000);
});
