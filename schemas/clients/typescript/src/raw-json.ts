/**
 * Takes JSON apart without reading its values: every value stays the text that it is. A number of JavaScript would
 * change an ID beyond 2^53 and the zeros of a decimal, and a replica must keep both.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN = [0x7b, 0x5b];
const CLOSE = [0x7d, 0x5d];
const SPACES = [0x20, 0x09, 0x0a, 0x0d];

/** The members of a JSON object, each value as its text. @throws SyntaxError when the text is not an object */
export function membersOf(json: string): Map<string, string> {
  const members = new Map<string, string>();
  eachItem(json, '{', '}', (start) => {
    if (json.charCodeAt(start) !== QUOTE) throw notJson(json, start);
    const nameEnd = endOfString(json, start);
    const colon = skipSpaces(json, nameEnd);
    if (json[colon] !== ':') throw notJson(json, colon);
    const valueStart = skipSpaces(json, colon + 1);
    const end = endOfValue(json, valueStart);
    members.set(JSON.parse(json.slice(start, nameEnd)) as string, json.slice(valueStart, end));
    return end;
  });
  return members;
}

/** The elements of a JSON array, each as its text. @throws SyntaxError when the text is not an array */
export function elementsOf(json: string): string[] {
  const elements: string[] = [];
  eachItem(json, '[', ']', (start) => {
    const end = endOfValue(json, start);
    elements.push(json.slice(start, end));
    return end;
  });
  return elements;
}

/** An object of members whose values are JSON texts. */
export function objectOf(members: Iterable<readonly [name: string, json: string]>): string {
  return `{${Array.from(members, ([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
}

/** Calls `read` where each item starts; it returns where the item ends. */
function eachItem(json: string, open: string, close: string, read: (start: number) => number): void {
  let at = skipSpaces(json, 0);
  if (json[at] !== open) throw notJson(json, at);
  at = skipSpaces(json, at + 1);
  while (json[at] !== close) {
    at = skipSpaces(json, read(at));
    if (json[at] === close) break;
    if (json[at] !== ',') throw notJson(json, at);
    at = skipSpaces(json, at + 1);
    if (json[at] === close) throw notJson(json, at);
  }
  if (skipSpaces(json, at + 1) < json.length) throw notJson(json, at + 1);
}

function endOfValue(json: string, start: number): number {
  const first = json.charCodeAt(start);
  if (first === QUOTE) return endOfString(json, start);
  let at = start;
  if (OPEN.includes(first)) {
    for (let depth = 0; at < json.length; at += 1) {
      const code = json.charCodeAt(at);
      if (code === QUOTE) at = endOfString(json, at) - 1;
      else if (OPEN.includes(code)) depth += 1;
      else if (CLOSE.includes(code) && --depth === 0) return at + 1;
    }
    throw notJson(json, at);
  }
  while (at < json.length && !isDelimiter(json.charCodeAt(at))) at += 1;
  if (at === start) throw notJson(json, at);
  return at;
}

function endOfString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at !== -1; at = json.indexOf('"', at + 1)) {
    let slashes = 0;
    while (json.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
  throw notJson(json, json.length);
}

function isDelimiter(code: number): boolean {
  return code === COMMA || CLOSE.includes(code) || SPACES.includes(code);
}

function skipSpaces(json: string, start: number): number {
  let at = start;
  while (SPACES.includes(json.charCodeAt(at))) at += 1;
  return at;
}

/** The text may be a customer's record, and stays out of the message. */
function notJson(json: string, at: number): SyntaxError {
  return new SyntaxError(`unexpected JSON at character ${at} of ${json.length}`);
}
