import type { IncomingMessage } from 'node:http';
import { AppError } from '../../../shared/runtime/errors.ts';
import { textFault } from './text-rules.ts';
import { invalid } from './validate.ts';

/** More than any path or query of this API needs; the longest parameter is a cursor of 2,000 characters. */
const MAX_PATH_CHARACTERS = 2_048;
const MAX_QUERY_CHARACTERS = 8_192;
const MAX_PARAMETERS = 50;

/** The target of the request line, split once and checked before anything else uses it. */
export interface RequestTarget {
  /** Below the public prefix, still percent-encoded. Every part decodes to UTF-8 without NUL. */
  readonly path: string;
  /** Without the question mark, still percent-encoded. */
  readonly querystring: string;
}

/**
 * Splits the target in linear time. Removes the prefix of `PUBLIC_URL`, so that a proxy may strip it or keep
 * it.
 *
 * @throws AppError `malformed` for a target that is too long, not ASCII, or does not decode
 */
export function readTarget(url: string, prefix: string): RequestTarget {
  // RFC 9112, 3.2.2: a client may send the absolute form to any server.
  const target = url.startsWith('/') ? url : (/^https?:\/\/[^/?#]*(\/.*)$/i.exec(url)?.[1] ?? '');
  // A fragment is for the client alone. Koa would drop it, so a link with one would be accepted as the link without it.
  if (!/^\/[\x21\x22\x24-\x7e]*$/.test(target)) {
    throw malformed(
      'The request target must be a path in ASCII without a fragment; percent-encode everything else.',
    );
  }
  const mark = target.indexOf('?');
  const whole = mark < 0 ? target : target.slice(0, mark);
  const querystring = mark < 0 ? '' : target.slice(mark + 1);
  if (whole.length > MAX_PATH_CHARACTERS) {
    throw malformed(`The path may have at most ${MAX_PATH_CHARACTERS} characters.`);
  }
  if (querystring.length > MAX_QUERY_CHARACTERS) {
    throw malformed(`The query may have at most ${MAX_QUERY_CHARACTERS} characters.`);
  }
  requireFewParameters(querystring);
  const path = prefix !== '' && whole.startsWith(`${prefix}/`) ? whole.slice(prefix.length) : whole;
  decode(path, 'The path');
  return { path, querystring };
}

/**
 * Requires the one Host that a request of HTTP/1.1 has (RFC 9112, 3.2). Node would take the first of two, and a proxy perhaps the
 * other; its response to a request without one has no body.
 *
 * @throws AppError `malformed`
 */
export function requireOneHost({
  httpVersion,
  headersDistinct,
}: Pick<IncomingMessage, 'httpVersion' | 'headersDistinct'>): void {
  const count = headersDistinct.host?.length ?? 0;
  if (count === 1 || (count === 0 && httpVersion === '1.0')) return;
  throw malformed('The request is for no host, or for several. Send one Host header.');
}

/** The path of a target that may be faulty, to tell whose fault it is: below the public prefix, as it was sent. */
export function pathOf(url: string, prefix: string): string {
  const [path = ''] = url.split(/[?#]/, 1);
  return prefix !== '' && path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}

/**
 * The query's parameters, decoded.
 *
 * @throws AppError `malformed` for one that does not decode, `invalid` for one given twice
 */
export function readQuery(querystring: string): Record<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of readParameters(querystring, 'The query')) {
    if (parameters.has(name)) throw invalid([{ pointer: name, detail: 'is given more than once' }]);
    parameters.set(name, value);
  }
  return Object.fromEntries(parameters);
}

/**
 * The parameters of a query or of a form, decoded, in their order.
 *
 * @param what the text, as an error names it
 * @throws AppError `malformed` for one that does not decode
 */
export function readParameters(text: string, what: string): [name: string, value: string][] {
  const decodePart = (part: string) => decode(part.replaceAll('+', ' '), what);
  return text.split('&').flatMap((part): [string, string][] => {
    if (part === '') return [];
    const equals = part.indexOf('=');
    const name = decodePart(equals < 0 ? part : part.slice(0, equals));
    return [[name, equals < 0 ? '' : decodePart(part.slice(equals + 1))]];
  });
}

function requireFewParameters(querystring: string): void {
  let count = 1;
  for (let at = querystring.indexOf('&'); at >= 0; at = querystring.indexOf('&', at + 1)) {
    count += 1;
    if (count > MAX_PARAMETERS) throw malformed(`The query may have at most ${MAX_PARAMETERS} parameters.`);
  }
}

function decode(text: string, what: string): string {
  let decoded: string;
  try {
    // It refuses overlong forms and encoded surrogates too.
    decoded = decodeURIComponent(text);
  } catch (cause) {
    throw malformed(`${what} is not percent-encoded UTF-8.`, cause);
  }
  const fault = textFault(decoded);
  if (fault !== undefined) throw malformed(`${what} ${fault}.`);
  return decoded;
}

function malformed(message: string, cause?: unknown): AppError {
  return new AppError('malformed', message, cause === undefined ? {} : { cause });
}
