/**
 * JSON with every digit kept: numbers stay the text they were, because a 64-bit integer or a jsonb number may
 * have more digits than a double. Node has had the source text in revivers, and `JSON.rawJSON`, since version 21.
 */
interface ExactJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

const exact = JSON as unknown as ExactJson;

/** Parses JSON; numbers become raw JSON values that `JSON.stringify` prints digit for digit. @throws SyntaxError */
export function parseExactJson(text: string): unknown {
  return exact.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? exact.rawJSON(source) : value,
  );
}
