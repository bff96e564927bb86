import { readBackslashQuoted } from './backslash-quoted.ts';
import { jsonString } from './json-string.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

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
