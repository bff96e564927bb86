import type { RowType, ValueType } from '../../../shared/domain/row-type.ts';
import { UnreadableTextError } from '../../../shared/values/unreadable-text-error.ts';

/** Values of some columns, as wire texts; null is SQL NULL. */
export type KnownValues = ReadonlyMap<string, string | null>;

/** The values that one event has of its record. */
export interface EventRow {
  readonly op: 'insert' | 'update' | 'delete';
  /** The row after the change, or the deleted row, as far as it is known. */
  readonly data: KnownValues;
  /** The values before an update, of the columns that it changed. Undefined if unknown. */
  readonly previous: KnownValues | undefined;
  /** Columns that the change did not alter and whose value the event does not have. */
  readonly unchanged: readonly string[];
}

/** An event as the log has it. */
export interface StoredEvent {
  readonly op: string | null;
  /** Columns whose `null` is a JSON null. Null if that was not recorded. */
  readonly jsonNulls: { readonly data?: readonly string[]; readonly previous?: readonly string[] } | null;
  readonly payload: string;
}

/**
 * Reads an event back. Columns of another row type are skipped; the caller makes sure that the row type has not changed.
 *
 * @returns undefined for an event of an earlier version that did not record enough
 * @throws UnreadableTextError when the payload is not of these columns
 */
export function readEventRow(
  rowType: RowType,
  { op, jsonNulls, payload }: StoredEvent,
): EventRow | undefined {
  if (jsonNulls === null || (op !== 'insert' && op !== 'update' && op !== 'delete')) return undefined;
  const members = readJsonMembers(payload);
  const values = (json: string, nulls: readonly string[] = []): KnownValues => {
    const texts = readJsonMembers(json);
    const known = new Map<string, string | null>();
    for (const { name, type } of rowType.columns) {
      const text = texts.get(name);
      if (text === undefined) continue;
      const isSqlNull = text === 'null' && !nulls.includes(name);
      known.set(name, isSqlNull ? null : jsonToWireText(type.kind, text));
    }
    return known;
  };
  const previous = members.get('previous');
  return {
    op,
    data: values(members.get('data') ?? '{}', jsonNulls.data),
    previous: previous === undefined ? undefined : values(previous, jsonNulls.previous),
    unchanged: JSON.parse(members.get('unchanged') ?? '[]'),
  };
}

/**
 * Inverse of `wireToJson`: a value's wire text from its JSON text, byte for byte. The caller decides about `null`, because SQL
 * NULL and a JSON null have the same JSON.
 *
 * @throws UnreadableTextError when the JSON is not of that kind
 */
export function jsonToWireText(kind: ValueType['kind'], json: string): string {
  switch (kind) {
    case 'json':
      return json;
    case 'int':
    case 'long':
      if (!/^-?\d+$/.test(json)) throw new UnreadableTextError('an integer in JSON');
      return json;
    case 'boolean':
      if (json !== 'true' && json !== 'false') throw new UnreadableTextError('a boolean in JSON');
      return json;
    case 'float':
    case 'double':
      return json.startsWith('"') ? readString(json) : json;
    case 'bytes':
    case 'string':
      return readString(json);
  }
}

function readString(json: string): string {
  const value: unknown = json.startsWith('"') ? JSON.parse(json) : undefined;
  if (typeof value !== 'string') throw new UnreadableTextError('a string in JSON');
  return value;
}

/**
 * The members of a JSON object's text, each value as its own text, so no number is rounded. Only for texts that Tandem wrote,
 * which have no space between tokens of the outermost level.
 *
 * @throws UnreadableTextError when the text is no such object
 */
export function readJsonMembers(text: string): Map<string, string> {
  const members = new Map<string, string>();
  if (text === '{}') return members;
  let at = 0;
  for (;;) {
    // At the brace or at the comma before a member.
    if (text[at] !== (members.size === 0 ? '{' : ',') || text[at + 1] !== '"') throw notAnObject();
    const nameEnd = endOfString(text, at + 1);
    if (text[nameEnd] !== ':') throw notAnObject();
    const end = endOfValue(text, nameEnd + 1);
    members.set(JSON.parse(text.slice(at + 1, nameEnd)), text.slice(nameEnd + 1, end));
    at = end;
    if (text[at] !== '}') continue;
    if (at !== text.length - 1) throw notAnObject();
    return members;
  }
}

/** The place after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  throw notAnObject();
}

/** The place of the comma or brace that ends the value. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') {
      at = endOfString(text, at) - 1;
    } else if (character === '{' || character === '[') {
      depth += 1;
    } else if (character === '}' || character === ']') {
      if (depth === 0) return nonEmpty(start, at);
      depth -= 1;
    } else if (character === ',' && depth === 0) {
      return nonEmpty(start, at);
    }
  }
  throw notAnObject();
}

function nonEmpty(start: number, end: number): number {
  if (end === start) throw notAnObject();
  return end;
}

function notAnObject(): UnreadableTextError {
  return new UnreadableTextError('a JSON object of our own making');
}
