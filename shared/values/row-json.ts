import type { RowShape, RowTexts } from '../domain/row-shape.ts';
import { jsonString } from './json-string.ts';
import { toWireText, wireToJson } from './json-text.ts';

/** The one form of a row as JSON: members in column order, no space between tokens, SQL NULL as `null`. */
export interface RowJson {
  /** The row from its wire texts. Columns named in `omit` are left out. */
  toJson(wireTexts: RowTexts, omit?: ReadonlySet<string>): string;
}

export function createRowJson(shape: RowShape): RowJson {
  const members = shape.columns.map(({ name, type }) => ({
    name,
    kind: type.kind,
    prefix: `${jsonString(name)}:`,
  }));
  return {
    toJson(wireTexts, omit) {
      let json = '';
      for (const [index, { name, kind, prefix }] of members.entries()) {
        if (omit?.has(name)) continue;
        const text = wireTexts[index] ?? null;
        json += `${json === '' ? '{' : ','}${prefix}${text === null ? 'null' : wireToJson(kind, text)}`;
      }
      return json === '' ? '{}' : `${json}}`;
    },
  };
}

/** A row's wire texts from PostgreSQL's. */
export function toWireTexts(shape: RowShape, pgTexts: RowTexts): RowTexts {
  return shape.columns.map(({ type }, index) => {
    const text = pgTexts[index] ?? null;
    return text === null ? null : toWireText(type, text);
  });
}
