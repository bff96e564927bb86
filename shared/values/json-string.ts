/**
 * Characters that some readers take for the end of a line: NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR. JSON allows them inside
 * strings, and nowhere else. Node's `readline` and Python's `splitlines` split at them, so a line of JSON Lines must not hold them.
 */
const LINE_SEPARATORS = /[\u0085\u2028\u2029]/g;

/** JSON text with those characters escaped, which changes no value. The text must be JSON already. */
export function escapeLineSeparators(json: string): string {
  // Nearly no text has one, and a search is cheaper than a replacement that finds nothing.
  return json.search(LINE_SEPARATORS) === -1 ? json : json.replace(LINE_SEPARATORS, escapeCharacter);
}

/** A text as a JSON string that is one line for every reader: files and events print strings by this rule alone. */
export function jsonString(text: string): string {
  return escapeLineSeparators(JSON.stringify(text));
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
