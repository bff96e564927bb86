import type { RowTexts, RowType, ValueType } from '../domain/row-type.ts';

// Wire texts as JSON: of a string, a value, and a row.

/** One value's JSON text from its wire text. */
export function wireToJson(kind: ValueType['kind'], wireText: string): string {
  switch (kind) {
    case 'int':
    case 'long':
    case 'boolean':
    case 'json':
      return wireText;
    case 'float':
    case 'double':
      return isFiniteText(wireText) ? wireText : `"${wireText}"`;
    case 'bytes':
      return `"${wireText}"`;
    case 'string':
      return jsonString(wireText);
  }
}

/** One value's JSON text from PostgreSQL's text: how elements of arrays and attributes of composites are printed. */
export function pgToJson(type: ValueType, pgText: string): string {
  return wireToJson(type.kind, toWireText(type, pgText));
}

export function toWireText(type: ValueType, pgText: string): string {
  return type.toWire === undefined ? pgText : type.toWire(pgText);
}

/** `NaN`, `Infinity` and `-Infinity` are the only wire texts of a float that end in a letter. */
function isFiniteText(wireText: string): boolean {
  return !wireText.endsWith('N') && !wireText.endsWith('y');
}

/**
 * Characters that some readers treat as the end of a line: NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR. JSON allows them inside
 * strings, and nowhere else. Node's `readline` and Python's `splitlines` split at them, so a line of JSON Lines must not hold them.
 */
const LINE_SEPARATORS = /[\u0085\u2028\u2029]/g;

/** JSON text with those characters escaped, which changes no value. The text must be JSON already. */
export function escapeLineSeparators(json: string): string {
  // Few texts have one, and a search is cheaper than a replacement without a match.
  return json.search(LINE_SEPARATORS) === -1 ? json : json.replace(LINE_SEPARATORS, escapeCharacter);
}

/** A text as a JSON string that is one line for every reader: files and events print strings by this rule alone. */
export function jsonString(text: string): string {
  return escapeLineSeparators(JSON.stringify(text));
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The one form of a row as JSON: members in column order, no space between tokens, SQL NULL as `null`. */
export interface RowJson {
  /** The row from its wire texts. Columns named in `omit` are left out. */
  toJson(wireTexts: RowTexts, omit?: ReadonlySet<string>): string;
}

export function createRowJson(rowType: RowType): RowJson {
  const members = rowType.columns.map(({ name, type }) => ({
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
export function toWireTexts(rowType: RowType, pgTexts: RowTexts): RowTexts {
  return rowType.columns.map(({ type }, index) => {
    const text = pgTexts[index] ?? null;
    return text === null ? null : toWireText(type, text);
  });
}
