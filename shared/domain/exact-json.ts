import { randomUUID } from 'node:crypto';

/** What Node's JSON has and the compiler's library does not name yet: a text that `stringify` writes as it is. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** A number of a JSON text that a double would write otherwise: it keeps its digits until they are written again. */
export class ExactNumber {
  readonly digits: string;

  constructor(digits: string) {
    this.digits = digits;
  }

  toString(): string {
    return this.digits;
  }

  /** `JSON.stringify` writes the digits. */
  toJSON(): unknown {
    return rawJSON(this.digits);
  }
}

/** Whole numbers of no more digits than these are their own shortest text. */
const SAFE_DIGITS = 15;

const NUMERAL_PART = /[\d.eE+-]/;
const NUMERAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * As `JSON.parse`, with an `ExactNumber` for each number whose digits a double would not give back: 9007199254740993, 1e400, 1.10.
 *
 * A reviver would be told the digits, at the price of a call for each value of a body that has millions. So those numbers, which
 * are few, are put between brackets with a mark before the text is parsed. An array may stand wherever a number may and
 * nowhere else, so that no text becomes JSON by it.
 *
 * @throws SyntaxError
 */
export function parseExactJson(text: string): unknown {
  const mark = randomUUID();
  const marked = markNumbers(text, mark);
  return marked === text ? JSON.parse(text) : readMarked(JSON.parse(marked), mark);
}

function markNumbers(text: string, mark: string): string {
  const parts: string[] = [];
  let kept = 0;
  for (let index = 0; index < text.length; ) {
    const character = text[index] ?? '';
    if (character === '"') {
      index = endOfString(text, index);
      continue;
    }
    const start = index;
    index += 1;
    if (character !== '-' && !(character >= '0' && character <= '9')) continue;
    while (index < text.length && NUMERAL_PART.test(text[index] ?? '')) index += 1;
    const numeral = text.slice(start, index);
    if (isExact(numeral)) continue;
    parts.push(text.slice(kept, start), `["${mark}","${numeral}"]`);
    kept = index;
  }
  return kept === 0 ? text : parts.join('') + text.slice(kept);
}

/** What is no number at all is left for the parser to refuse. */
function isExact(numeral: string): boolean {
  if (numeral.length <= SAFE_DIGITS && /^[1-9]\d*$|^0$/.test(numeral)) return true;
  return !NUMERAL.test(numeral) || String(Number(numeral)) === numeral;
}

function readMarked(value: unknown, mark: string): unknown {
  if (Array.isArray(value)) {
    return value[0] === mark
      ? new ExactNumber(String(value[1]))
      : value.map((part) => readMarked(part, mark));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, readMarked(member, mark)]));
}

/** The number, where a double holds the value that the digits say: of 1.10 and 1e2, but of neither 9007199254740993 nor 1e400. */
export function toDouble({ digits }: ExactNumber): number | undefined {
  const number = Number(digits);
  const value = sameTextOf(digits);
  return Number.isFinite(number) && value === sameTextOf(String(number)) ? number : undefined;
}

/** Its digits without point and exponent, where it is whole: `1.0` and `1e2` are `1` and `100`. As it is where it is not. */
export function wholeDigits({ digits }: ExactNumber): string {
  const { sign, significant, power } = partsOf(digits);
  return power < 0 ? digits : `${sign}${significant}${'0'.repeat(power)}`;
}

/** The same for every spelling of a value. */
function sameTextOf(numeral: string): string {
  const { sign, significant, power } = partsOf(numeral);
  return `${sign}${significant}e${power}`;
}

function partsOf(numeral: string): { sign: string; significant: string; power: number } {
  const [mantissa = '', exponent = '0'] = numeral.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.');
  const all = `${whole}${fraction}`;
  let start = 0;
  while (all[start] === '0') start += 1;
  if (start === all.length) return { sign: '', significant: '0', power: 0 };
  let end = all.length;
  while (all[end - 1] === '0') end -= 1;
  return {
    sign: mantissa.startsWith('-') ? '-' : '',
    significant: all.slice(start, end),
    power: Number(exponent) - fraction.length + (all.length - end),
  };
}

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);

/** @returns where the JSON string that begins at `start` is over, just behind its quote; the text's end if it never is */
export function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === BACKSLASH) index += 1;
    else if (code === QUOTE) return index + 1;
  }
  return text.length;
}
