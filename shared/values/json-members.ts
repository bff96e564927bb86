import type { ValueType } from '../domain/row-type.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

// JSON that Tandem wrote, read back without a change of any value.

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
