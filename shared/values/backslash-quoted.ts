/** A quoted text that starts at a place in a longer one: its value, and the place after its closing quote. */
export interface Quoted {
  readonly value: string;
  readonly end: number;
}

/**
 * Reads what array and hstore texts put in double quotes: any character may be escaped by a backslash.
 *
 * @returns undefined when no quoted text that ends starts there
 */
export function readBackslashQuoted(text: string, start: number): Quoted | undefined {
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
