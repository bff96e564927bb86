import type { Column } from '../domain/row-shape.ts';
import { ByteWriter } from '../values/byte-writer.ts';
import { writeCsvHeader, writeCsvRecord } from './csv-record.ts';
import type { Bytes, Format } from './format.ts';
import { wholeLines } from './whole-lines.ts';

/**
 * CSV by RFC 4180: CRLF after every record, the header too, quotes only where they are needed. An empty cell is null and
 * `""` an empty string; a nested value is its JSON text, so a JSON null is `null`. Written by hand because csv-stringify has
 * one form for null and for an empty string.
 *
 * With `isSafe` a cell that a spreadsheet would take for a formula gets an apostrophe before it. Numbers keep their form: no
 * spreadsheet runs them, and `-5` has to stay a number.
 */
export function createCsv({ isSafe }: { readonly isSafe: boolean }): Format {
  return {
    suffix: '.csv',
    encode(lines, { columns }) {
      let rowCount = 0;
      async function* records(rows: Bytes): AsyncGenerator<Buffer> {
        const out = new ByteWriter();
        const guarded = columns.map((column) => isSafe && mayStartFormula(column));
        if (columns.length > 0) {
          const names = columns.map(({ name }) => name);
          writeCsvHeader(out, names, isSafe);
          yield out.toBuffer();
        }
        for await (const piece of wholeLines(rows)) {
          out.reset();
          for (let at = 0; at < piece.length; rowCount += 1) at = writeCsvRecord(out, piece, at, guarded);
          yield out.toBuffer();
        }
      }
      return { bytes: records(lines), rowCount: () => rowCount, columnsAsText: () => [] };
    },
  };
}

/** JSON that starts with one of those signs is a number too. */
function mayStartFormula({ type: { kind, pgName } }: Column): boolean {
  if (kind === 'bytes') return true;
  return kind === 'string' && pgName !== 'money' && !/^numeric\b/.test(pgName);
}
