import type { Column, RowTexts } from '../../../shared/domain/row-shape.ts';
import type { Bytes, Format } from './format.ts';
import { readTextRows } from './text-rows.ts';

const LINE_END = '\r\n';
const NEEDS_QUOTES = /[",\r\n]/;
/** What makes a spreadsheet take a cell for a formula. */
const STARTS_FORMULA = /^[=+\-@\t\r]/;

/**
 * CSV by RFC 4180: CRLF after every record, the header too, quotes only where they are needed. An empty cell is null and
 * `""` an empty string; a nested value is its JSON text, so a JSON null is `null`.
 *
 * The cells are written by hand because csv-stringify has one form for null and for an empty string.
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
        const guarded = columns.map((column) => isSafe && mayStartFormula(column));
        const headerGuarded = columns.map(() => isSafe);
        const names = columns.map(({ name }) => name);
        if (columns.length > 0) yield Buffer.from(toRecord(names, headerGuarded));
        for await (const batch of readTextRows(rows, columns.length)) {
          yield Buffer.from(batch.map((row) => toRecord(row, guarded)).join(''));
          rowCount += batch.length;
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

function toRecord(texts: RowTexts, guarded: readonly boolean[]): string {
  let record = '';
  for (let index = 0; index < texts.length; index += 1) {
    if (index > 0) record += ',';
    const text = texts[index] ?? null;
    if (text !== null)
      record += toCell(guarded[index] === true && STARTS_FORMULA.test(text) ? `'${text}` : text);
  }
  return record + LINE_END;
}

function toCell(text: string): string {
  return text === '' || NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
