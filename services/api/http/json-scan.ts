import { ExactNumber, endOfString } from '../../../shared/domain/exact-json.ts';
import type { AppError } from '../../../shared/runtime/errors.ts';
import { invalid, toPointer } from './validate.ts';

/** Far more than any body needs, and few enough for recursive code. */
export const MAX_JSON_DEPTH = 64;

/** Characters of one number. Reading a longer number costs more than any value is worth. */
const MAX_NUMERAL_CHARACTERS = 1_000;

/** The findings of a scan. */
export interface JsonScanResult {
  /** The text has numbers other than plain digits, which a double may not hold. */
  readonly hasOddNumbers: boolean;
  /** The text has `\u` escapes. Only they can produce a NUL or half of a surrogate pair. */
  readonly hasEscapes: boolean;
  /** Members of all objects of the text, those of one name counted apart. */
  readonly members: number;
}

/** Scans the bytes of a JSON body while they arrive, before they are decoded or parsed. */
export interface JsonScan extends JsonScanResult {
  /** @throws AppError `invalid`, as soon as the bytes so far are too deep, hold too many values or too long a number */
  push(bytes: Uint8Array): void;
}

const code = (character: string) => character.charCodeAt(0);
const [QUOTE, BACKSLASH, COMMA, COLON, UNICODE] = [code('"'), code('\\'), code(','), code(':'), code('u')];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [code('['), code(']'), code('{'), code('}')];
const [ZERO, NINE, MINUS] = [code('0'), code('9'), code('-')];

/** Whole numbers of no more digits than these are their own shortest text. */
const PLAIN_DIGITS = 15;

/**
 * One pass without recursion or memory, at some nanoseconds per byte, that limits what a body may cost. The
 * parser decides whether the text is JSON.
 */
export function createJsonScan(maxValues: number): JsonScan {
  const parts: Uint8Array[] = [];
  let depth = 0;
  // Each value is the first of the text or of a container, or follows a comma.
  let values = 1;
  let members = 0;
  let numeral = 0;
  let [isText, isEscape, hasOddNumbers, hasEscapes] = [false, false, false, false];

  function refuse(detail: string, until?: number): AppError {
    const last = parts.at(-1)?.subarray(0, until);
    const before = Buffer.concat([...parts.slice(0, -1), ...(last === undefined ? [] : [last])]);
    return invalid([{ pointer: until === undefined ? '' : pointerAtEnd(before.toString()), detail }]);
  }

  return {
    get hasOddNumbers() {
      return hasOddNumbers;
    },
    get hasEscapes() {
      return hasEscapes;
    },
    get members() {
      return members;
    },
    push(bytes) {
      parts.push(bytes);
      for (let index = 0; index < bytes.length; index += 1) {
        const byte = bytes[index];
        if (byte === undefined) continue;
        if (isText) {
          if (isEscape) {
            if (byte === UNICODE) hasEscapes = true;
            isEscape = false;
          } else if (byte === BACKSLASH) isEscape = true;
          else if (byte === QUOTE) isText = false;
          continue;
        }
        if ((byte >= ZERO && byte <= NINE) || (numeral > 0 && isNumeral(byte)) || byte === MINUS) {
          numeral += 1;
          if (byte < ZERO || byte > NINE || numeral > PLAIN_DIGITS || (numeral === 1 && byte === ZERO)) {
            hasOddNumbers = true;
          }
          if (numeral > MAX_NUMERAL_CHARACTERS) {
            throw refuse(`a number may have at most ${MAX_NUMERAL_CHARACTERS} digits`, index);
          }
          continue;
        }
        numeral = 0;
        if (byte === QUOTE) isText = true;
        else if (byte === COMMA) values += 1;
        else if (byte === COLON) members += 1;
        else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
        else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
          depth += 1;
          values += 1;
          if (depth > MAX_JSON_DEPTH) throw refuse(`may be nested at most ${MAX_JSON_DEPTH} deep`, index);
        }
      }
      if (values > maxValues) throw refuse(`the body may hold at most ${maxValues} values`);
    },
  };
}

/** A point, an exponent or its sign. */
function isNumeral(byte: number): boolean {
  return byte === 0x2e || byte === 0x65 || byte === 0x45 || byte === 0x2b || byte === MINUS;
}

/**
 * Refuses a text with two members of one name in an object: the parser keeps the last, so half of a filter would be passed over in
 * silence. Only such a text has more members than the value that was parsed from it.
 *
 * @throws AppError `invalid` with a pointer to the second
 */
export function requireDistinctMembers(text: string, value: unknown, { members }: JsonScanResult): void {
  if (members > countMembers(value)) {
    throw invalid([{ pointer: pointerAtEnd(text, true), detail: 'is given more than once' }]);
  }
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null || value instanceof ExactNumber) return 0;
  const parts: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  const own = Array.isArray(value) ? 0 : parts.length;
  return parts.reduce<number>((sum, part) => sum + countMembers(part), own);
}

/**
 * The JSON pointer to the end of a truncated text: the path of the value that would come next.
 *
 * @param endsAtRepeated whether to end at the first member whose name its object has already
 */
function pointerAtEnd(text: string, endsAtRepeated = false): string {
  const path: { isList: boolean; step: PropertyKey; names: Set<string> }[] = [];
  for (let index = 0; index < text.length; ) {
    const character = text[index];
    const within = path.at(-1);
    const end = character === '"' ? endOfString(text, index) : index + 1;
    if (character === '"' && within?.isList === false && isName(text, end)) {
      const name = nameOf(text.slice(index, end));
      within.step = name;
      if (endsAtRepeated && within.names.has(name)) break;
      within.names.add(name);
    } else if (character === '[') path.push({ isList: true, step: 0, names: new Set() });
    else if (character === '{') path.push({ isList: false, step: '', names: new Set() });
    else if (character === ']' || character === '}') path.pop();
    else if (character === ',' && within?.isList === true) within.step = Number(within.step) + 1;
    index = end;
  }
  return toPointer(path.map(({ step }) => step));
}

function isName(text: string, end: number): boolean {
  let index = end;
  while (' \t\r\n'.includes(text[index] ?? '-')) index += 1;
  return text[index] === ':';
}

function nameOf(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted;
  }
}
