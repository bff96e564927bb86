import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../values/byte-writer.ts';
import { writeJsonString } from '../values/json-writer.ts';
import { writeCsvRecord } from './csv-record.ts';

/** The same by strings, as plainly as it can be said. */
function recordOf(texts: readonly (string | null)[], isGuarded: boolean): string {
  const cells = texts.map((text) => {
    if (text === null) return '';
    const guarded = isGuarded && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return text === '' || /[",\r\n]/.test(text) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
  });
  return `${cells.join(',')}\r\n`;
}

/** As a part stages it. */
function lineOf(texts: readonly (string | null)[]): Buffer {
  const out = new ByteWriter();
  for (const [index, text] of texts.entries()) {
    out.writeAscii(index === 0 ? '[' : ',');
    const bytes = Buffer.from(text ?? '');
    if (text === null) out.writeAscii('null');
    else writeJsonString(out, bytes, 0, bytes.length);
  }
  out.writeAscii(']\n');
  return out.toBuffer();
}

const TEXT = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('"', ',', '\\', '\r', '\n', '\t', '=', '-', '\u0001', 'é', '😀', 'n') }),
);

test('every text is written as its record says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(TEXT), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      (texts, isGuarded) => {
        const out = new ByteWriter();
        const line = lineOf(texts);
        const guarded = texts.map(() => isGuarded);
        expect(writeCsvRecord(out, line, 0, guarded)).toBe(line.length);
        expect(out.toText()).toBe(recordOf(texts, isGuarded));
        const inPlainJson = Buffer.from(`${JSON.stringify(texts)}\n`);
        out.reset();
        writeCsvRecord(out, inPlainJson, 0, guarded);
        expect(out.toText()).toBe(recordOf(texts, isGuarded));
      },
    ),
  );
});
