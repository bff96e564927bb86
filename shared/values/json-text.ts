import type { ValueType } from '../domain/row-shape.ts';
import { jsonString } from './json-string.ts';

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
