import { endOfString } from '../domain/exact-json.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

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
    const isIt = isString(json.slice(at, nameEnd), name);
    const start = skipWhitespace(json, skipWhitespace(json, nameEnd) + 1);
    const end = endOfValue(json, start);
    if (isIt) found = json.slice(start, end).trimEnd();
    at = skipWhitespace(json, end + 1);
  }
  return found;
}

function isString(json: string, text: string): boolean {
  return json.includes('\\') ? JSON.parse(json) === text : json === `"${text}"`;
}

/** The comma or brace behind the value. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; ) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(json, at);
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth += 1;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      if (depth === 0) return at;
      depth -= 1;
    } else if (depth === 0 && code === COMMA) return at;
    at += 1;
  }
  return json.length;
}

/** JSON has no other white space, and no other character below this one between its tokens. */
const SPACE = 0x20;

function skipWhitespace(json: string, start: number): number {
  let at = start;
  while (at < json.length && json.charCodeAt(at) <= SPACE) at += 1;
  return at;
}
