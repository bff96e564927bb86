import { endOfString } from '../domain/exact-json.ts';

const WHITESPACE = /[ \t\r\n]/;
const OPENING = '{[';
const CLOSING = '}]';

/**
 * The text of a member of a JSON object, over several objects in one another, every digit as it is. Of members with one name the
 * last one counts, as in PostgreSQL.
 *
 * @param json a JSON text
 * @returns undefined when something on the way is not an object, or has no such member
 */
export function jsonMember(json: string, path: readonly string[]): string | undefined {
  let text: string | undefined = json.trim();
  for (const name of path) {
    if (text === undefined) return undefined;
    text = memberOf(text, name);
  }
  return text;
}

function memberOf(json: string, name: string): string | undefined {
  if (!json.startsWith('{')) return undefined;
  let found: string | undefined;
  let at = skipWhitespace(json, 1);
  while (json[at] === '"') {
    const nameEnd = endOfString(json, at);
    const isIt = JSON.parse(json.slice(at, nameEnd)) === name;
    const start = skipWhitespace(json, skipWhitespace(json, nameEnd) + 1);
    const end = endOfValue(json, start);
    if (isIt) found = json.slice(start, end).trimEnd();
    at = skipWhitespace(json, end + 1);
  }
  return found;
}

/** The comma or brace behind the value. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; ) {
    const character = json[at] as string;
    if (character === '"') {
      at = endOfString(json, at);
      continue;
    }
    if (OPENING.includes(character)) depth += 1;
    else if (depth === 0 && (character === ',' || CLOSING.includes(character))) return at;
    else if (CLOSING.includes(character)) depth -= 1;
    at += 1;
  }
  return json.length;
}

function skipWhitespace(json: string, start: number): number {
  let at = start;
  while (at < json.length && WHITESPACE.test(json[at] as string)) at += 1;
  return at;
}
