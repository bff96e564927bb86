/** Enough for what a receiver and its proxies usually send. */
const MAX_HEADERS = 40;
const MAX_NAME_CHARACTERS = 100;
const MAX_VALUE_CHARACTERS = 200;
const MAX_CHARACTERS = 2_048;

/** Headers whose values may grant access to something. */
const SECRET_NAME =
  /auth|cookie|token|secret|password|credential|session|signature|(^|-)(api|access)?-?key$/i;

const MASK = '[hidden]';

/** The recorded headers of a response, shown to the endpoint's owner. */
export interface KeptHeaders {
  /** By name in lower case. Values are shortened, and those of secret headers are hidden. */
  readonly headers: Readonly<Record<string, string>>;
  /** Number of headers beyond the limits. */
  readonly omittedCount: number;
}

export const NO_HEADERS: KeptHeaders = { headers: {}, omittedCount: 0 };

/** Keeps about two kilobytes of headers at most, whatever the receiver sends. */
export function keepHeaders(
  received: Readonly<Record<string, string | readonly string[] | undefined>>,
): KeptHeaders {
  const kept: [string, string][] = [];
  let omittedCount = 0;
  let characters = 0;
  for (const [name, value_] of Object.entries(received)) {
    if (value_ === undefined) continue;
    const value = SECRET_NAME.test(name) ? MASK : shortened(String(value_));
    const isTooMuch =
      kept.length >= MAX_HEADERS ||
      name.length > MAX_NAME_CHARACTERS ||
      characters + name.length + value.length > MAX_CHARACTERS;
    if (isTooMuch) {
      omittedCount += 1;
      continue;
    }
    characters += name.length + value.length;
    kept.push([name.toLowerCase(), value]);
  }
  return { headers: Object.fromEntries(kept), omittedCount };
}

/** PostgreSQL's text type holds neither NUL nor half of a surrogate pair. */
function shortened(value: string): string {
  const text = value.replaceAll('\0', '\u{fffd}').toWellFormed();
  return text.length <= MAX_VALUE_CHARACTERS
    ? text
    : `${text.slice(0, MAX_VALUE_CHARACTERS).toWellFormed()}…`;
}
