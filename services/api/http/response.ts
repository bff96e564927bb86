import type { Readable } from 'node:stream';

/** What a route answers with. A text is sent as it is; whoever opens a stream gives it away here. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Readable | undefined;
}

/** An answer that can be kept and given again, byte for byte. */
export interface TextAnswer extends Answer {
  readonly body: string;
}

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };

export function answerJson(status: number, value: unknown, headers: Record<string, string> = {}): TextAnswer {
  return answerJsonText(status, JSON.stringify(value), headers);
}

/** For JSON that is at hand as text and must leave unchanged, digit for digit. */
export function answerJsonText(
  status: number,
  body: string,
  headers: Record<string, string> = {},
): TextAnswer {
  return { status, headers: { ...JSON_TYPE, ...headers }, body };
}

export function answerNothing(): Answer {
  return { status: 204, headers: {}, body: undefined };
}

export function redirectTo(url: string): Answer {
  return { status: 302, headers: { location: url, 'cache-control': 'no-store' }, body: undefined };
}
