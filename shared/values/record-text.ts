import { UnreadableTextError } from './unreadable-text-error.ts';

/**
 * The attributes' texts of PostgreSQL's composite text, `(1,"x,""y",)`. Nothing between two commas is a null; an empty
 * string is printed as `""`. See "Composite Type Input and Output Syntax" in PostgreSQL's manual. Attributes that the text lacks at
 * its end are null: the log prints a value as it was before ALTER TYPE added them, and a query would print them so.
 *
 * @throws UnreadableTextError when the text is not a composite of at most that many attributes
 */
export function parseRecordText(pgText: string, attributeCount: number): (string | null)[] {
  if (!pgText.startsWith('(')) throw notARecord(attributeCount);
  const fields: (string | null)[] = [];
  let at = 1;
  // A composite of no attributes and one of a single null are both printed as `()`.
  while (fields.length < attributeCount) {
    if (pgText[at] === '"') {
      const [value, end] = readQuoted(pgText, at, attributeCount);
      fields.push(value);
      at = end;
    } else {
      const start = at;
      while (at < pgText.length && pgText[at] !== ',' && pgText[at] !== ')') at += 1;
      fields.push(at === start ? null : pgText.slice(start, at));
    }
    if (pgText[at] !== ',' || fields.length === attributeCount) break;
    at += 1;
  }
  if (pgText[at] !== ')' || at !== pgText.length - 1) throw notARecord(attributeCount);
  while (fields.length < attributeCount) fields.push(null);
  return fields;
}

/** Quotes and backslashes inside are doubled. Gives the value and the place after the closing quote. */
function readQuoted(pgText: string, start: number, attributeCount: number): [string, number] {
  let value = '';
  let from = start + 1;
  for (let at = from; at < pgText.length; at += 1) {
    const character = pgText[at];
    if (character !== '"' && character !== '\\') continue;
    if (pgText[at + 1] !== character) {
      if (character === '"') return [value + pgText.slice(from, at), at + 1];
      break;
    }
    value += pgText.slice(from, at);
    at += 1;
    from = at;
  }
  throw notARecord(attributeCount);
}

function notARecord(attributeCount: number): UnreadableTextError {
  return new UnreadableTextError(`a composite of at most ${attributeCount} attributes`);
}
