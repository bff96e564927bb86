import { expect, test } from 'vitest';
import { readExtractorConfig } from './config.ts';

const NEEDED = {
  DATABASE_URL: 'postgres://source/product',
  KAFKA_BROKERS: '127.0.0.1:9092',
  SCHEMA_REGISTRY_URL: 'http://127.0.0.1:8081',
  CATALOG: 'catalog.yaml',
};

test('without a control database of its own, the source holds the control store', () => {
  const { controlUrl, maxExports, maxChunks } = readExtractorConfig(NEEDED);
  expect(controlUrl.reveal()).toBe(NEEDED.DATABASE_URL);
  expect({ maxExports, maxChunks }).toEqual({ maxExports: 4, maxChunks: 2 });
});

test('everything that is missing or out of range is told at once', () => {
  const problems = () => readExtractorConfig({ ...NEEDED, CATALOG: '', EXTRACTOR_MAX_CHUNKS: '33' });
  expect(problems).toThrow(
    /CATALOG is not set(?:.|\n)*EXTRACTOR_MAX_CHUNKS must be a whole number from 0 to 32/,
  );
});

test('secrets do not show when the settings are logged', () => {
  expect(JSON.stringify(readExtractorConfig(NEEDED))).not.toContain('postgres://');
});
