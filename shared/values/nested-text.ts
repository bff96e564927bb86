import { jsonString } from './json-text.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

// The texts of PostgreSQL's nested values: arrays, hstores and composites.

interface Cursor {
  readonly text: string;
  readonly delimiter: string;
  readonly elementToJson: (pgText: string) => string;
  at: number;
}

/**
 * PostgreSQL's array text as JSON array text, nested by dimension, null elements kept. See "Array Input and Output
 * Syntax" in PostgreSQL's manual. An array whose bounds do not start at 1 (`[0:2]={1,2,3}`) can't be a JSON array
 * without losing them: it becomes a JSON string holding PostgreSQL's text.
 *
 * @throws UnreadableTextError when the text is not an array
 */
export function arrayToJson(
  pgText: string,
  delimiter: string,
  elementToJson: (pgText: string) => string,
): string {
  if (pgText.startsWith('[')) return jsonString(pgText);
  const cursor: Cursor = { text: pgText, delimiter, elementToJson, at: 0 };
  const json = readArray(cursor);
  if (cursor.at !== pgText.length) throw notAnArray();
  return json;
}

function readArray(cursor: Cursor): string {
  if (cursor.text[cursor.at] !== '{') throw notAnArray();
  cursor.at += 1;
  if (cursor.text[cursor.at] === '}') {
    cursor.at += 1;
    return '[]';
  }
  let json = '[';
  for (;;) {
    json += readItem(cursor);
    const next = cursor.text[cursor.at];
    cursor.at += 1;
    if (next === '}') return `${json}]`;
    if (next !== cursor.delimiter) throw notAnArray();
    json += ',';
  }
}

function readItem(cursor: Cursor): string {
  const first = cursor.text[cursor.at];
  if (first === '{') return readArray(cursor);
  if (first === '"') return cursor.elementToJson(readQuoted(cursor));
  const text = readPlain(cursor);
  // Only the bare word is null. PostgreSQL quotes the text `NULL`.
  return text === 'NULL' ? 'null' : cursor.elementToJson(text);
}

function readQuoted(cursor: Cursor): string {
  const quoted = readBackslashQuoted(cursor.text, cursor.at);
  if (quoted === undefined) throw notAnArray();
  cursor.at = quoted.end;
  return quoted.value;
}

function readPlain(cursor: Cursor): string {
  const start = cursor.at;
  let at = start;
  while (at < cursor.text.length && cursor.text[at] !== cursor.delimiter && cursor.text[at] !== '}') at += 1;
  cursor.at = at;
  return cursor.text.slice(start, at);
}

function notAnArray(): UnreadableTextError {
  return new UnreadableTextError('an array');
}

/** A quoted text within a longer one: its value, and the index after its closing quote. */
export interface Quoted {
  readonly value: string;
  readonly end: number;
}

/**
 * Reads what array and hstore texts put in double quotes: any character may be escaped by a backslash.
 *
 * @returns undefined if no complete quoted text starts there
 */
function readBackslashQuoted(text: string, start: number): Quoted | undefined {
  if (text[start] !== '"') return undefined;
  let value = '';
  let from = start + 1;
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '"') return { value: value + text.slice(from, at), end: at + 1 };
    if (text[at] === '\\') {
      value += text.slice(from, at);
      at += 1;
      from = at;
    }
  }
  return undefined;
}

/**
 * PostgreSQL's hstore text (`"a"=>"1", "b"=>NULL`) as a JSON object of strings and nulls, in the order PostgreSQL
 * keeps its keys.
 *
 * @throws UnreadableTextError when the text is not an hstore
 */
export function hstoreToJson(pgText: string): string {
  const members: string[] = [];
  let at = 0;
  while (at < pgText.length) {
    if (at > 0) at = skip(pgText, at, ', ');
    const key = readBackslashQuoted(pgText, at);
    if (key === undefined) throw new UnreadableTextError('an hstore');
    at = skip(pgText, key.end, '=>');
    const value = readBackslashQuoted(pgText, at);
    at = value === undefined ? skip(pgText, at, 'NULL') : value.end;
    members.push(`${jsonString(key.value)}:${value === undefined ? 'null' : jsonString(value.value)}`);
  }
  return `{${members.join(',')}}`;
}

function skip(text: string, at: number, mark: string): number {
  if (!text.startsWith(mark, at)) throw new UnreadableTextError('an hstore');
  return at + mark.length;
}

/**
 * The attributes' texts of PostgreSQL's composite text, `(1,"x,""y",)`. Nothing between two commas is a null; an empty
 * string is printed as `""`. See "Composite Type Input and Output Syntax" in PostgreSQL's manual. Attributes that the text lacks at
 * its end are null: the log prints a value as it was before ALTER TYPE added them, and a query would print them so.
 *
 * @throws UnreadableTextError when the text is not a composite of at most that many attributes
 */
export function parseRecordText(pgText: string, attributeCount: number): (string | null)[] {
  if (!pgText.startsWith('(')) throw notARecord(attributeCount);
  const fields: (string | null)[] = [];
  let at = 1;
  // A composite of no attributes and one of a single null are both printed as `()`.
  while (fields.length < attributeCount) {
    if (pgText[at] === '"') {
      const [value, end] = readAttribute(pgText, at, attributeCount);
      fields.push(value);
      at = end;
    } else {
      const start = at;
      while (at < pgText.length && pgText[at] !== ',' && pgText[at] !== ')') at += 1;
      fields.push(at === start ? null : pgText.slice(start, at));
    }
    if (pgText[at] !== ',' || fields.length === attributeCount) break;
    at += 1;
  }
  if (pgText[at] !== ')' || at !== pgText.length - 1) throw notARecord(attributeCount);
  while (fields.length < attributeCount) fields.push(null);
  return fields;
}

/** Quotes and backslashes inside are doubled. Gives the value and the place after the closing quote. */
function readAttribute(pgText: string, start: number, attributeCount: number): [string, number] {
  let value = '';
  let from = start + 1;
  for (let at = from; at < pgText.length; at += 1) {
    const character = pgText[at];
    if (character !== '"' && character !== '\\') continue;
    if (pgText[at + 1] !== character) {
      if (character === '"') return [value + pgText.slice(from, at), at + 1];
      break;
    }
    value += pgText.slice(from, at);
    at += 1;
    from = at;
  }
  throw notARecord(attributeCount);
}

function notARecord(attributeCount: number): UnreadableTextError {
  return new UnreadableTextError(`a composite of at most ${attributeCount} attributes`);
}
