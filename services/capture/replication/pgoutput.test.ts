import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PgOutputError, readPgOutput } from './pgoutput.ts';

/** Messages as PostgreSQL 18 sent them, and what is read from them. `vitest -u` writes the latter again. */
const GOLDEN = fileURLToPath(new URL('../../../test/golden/pgoutput/', import.meta.url));
const EXPECTED = `${GOLDEN}messages.json`;

const files = readdirSync(GOLDEN).filter((name) => name.endsWith('.bin'));
const read = (file: string) => readFileSync(GOLDEN + file);

/** JSON has neither wide numbers nor `undefined`. */
function toPlain(value: unknown): unknown {
  const text = JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return String(member);
    if (Array.isArray(member)) return member.map((each) => (each === undefined ? { unchanged: true } : each));
    return member;
  });
  return JSON.parse(text);
}

test('every message that the server sends is read as recorded', async () => {
  const messages = Object.fromEntries(files.map((file) => [file, toPlain(readPgOutput(read(file)))]));
  expect(files.length).toBeGreaterThan(10);
  await expect(`${JSON.stringify(messages, null, 2)}\n`).toMatchFileSnapshot(EXPECTED);
});

test.each(files)('%s is refused when it is cut off anywhere, or goes on behind its end', (file) => {
  const bytes = read(file);
  const lengths = bytes.length > 200 ? [0, 1, 10, bytes.length - 1] : [...bytes.keys()];
  for (const length of lengths) {
    expect(() => readPgOutput(bytes.subarray(0, length))).toThrow(PgOutputError);
  }
  expect(() => readPgOutput(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(PgOutputError);
});

test('any other bytes are refused as such, and never something else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        readPgOutput(Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(PgOutputError);
      }
    }),
  );
});

test('nothing that was read changes when the connection’s buffer is used again', () => {
  const bytes = Buffer.from(read('insert-special-characters.bin'));
  const message = readPgOutput(bytes);
  const before = toPlain(message);
  bytes.fill(0);
  expect(toPlain(message)).toEqual(before);
});
