import { readBackslashQuoted } from './backslash-quoted.ts';
import { jsonString } from './json-string.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

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
  // Only the bare word is the null; the text `NULL` is printed in quotes.
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
