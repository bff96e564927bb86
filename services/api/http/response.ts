import type { Readable } from 'node:stream';

/** The response of a route. A text is sent unchanged. A stream is closed by the server. */
export interface ApiResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Readable | undefined;
  /** Values of `Set-Cookie`, of a page. */
  readonly cookies?: readonly string[];
  /** For the log, of a page: who is in its session. Other routes know by their key. */
  readonly servedFor?: { readonly caller: string; readonly accountId?: string };
}

/** A response that can be stored and sent again, byte for byte. */
export interface TextResponse extends ApiResponse {
  readonly body: string;
}

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };

export function jsonResponse(
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): TextResponse {
  return jsonTextResponse(status, JSON.stringify(value), headers);
}

/** For JSON text that must be sent unchanged, digit for digit. */
export function jsonTextResponse(
  status: number,
  body: string,
  headers: Record<string, string> = {},
): TextResponse {
  return { status, headers: { ...JSON_TYPE, ...headers }, body };
}

export function noContent(): ApiResponse {
  return { status: 204, headers: {}, body: undefined };
}

export function redirectTo(url: string): ApiResponse {
  return { status: 302, headers: { location: url, 'cache-control': 'no-store' }, body: undefined };
}
