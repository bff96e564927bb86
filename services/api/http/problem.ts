import { type IncomingMessage, maxHeaderSize } from 'node:http';
import { newId } from '../../../shared/domain/ids.ts';
import { AppError, type AppErrorCode, type FieldError } from '../../../shared/runtime/errors.ts';
import { SmallPiecesError } from './body-pieces.ts';
import type { PublicUrls } from './public-urls.ts';
import { RateExceededError } from './rate-limit-fields.ts';
import type { ApiResponse } from './response.ts';

/** Every `code` of a problem document. */
export type ProblemCode = AppErrorCode | 'method_not_allowed' | 'headers_too_large' | 'internal';

export interface ProblemKind {
  readonly status: number;
  /** What happened, and what the caller can do. */
  readonly meaning: string;
}

/** The only place where a code becomes a status. The OpenAPI document and the pages describe codes by this table. */
export const PROBLEMS: Readonly<Record<ProblemCode, ProblemKind>> = {
  malformed: {
    status: 400,
    meaning: 'The request is not well-formed: its target, its headers or its JSON. Correct it.',
  },
  unauthorized: { status: 401, meaning: 'The key is missing, unknown or revoked. Send a valid key.' },
  forbidden: {
    status: 403,
    meaning: 'The key may not send this request. `scope` names the scope that it lacks, if it lacks one.',
  },
  not_found: {
    status: 404,
    meaning: 'There is no such object, or it belongs to another account.',
  },
  method_not_allowed: {
    status: 405,
    meaning: 'The path exists, but not with this method. `Allow` lists the methods.',
  },
  timed_out: { status: 408, meaning: 'The request did not arrive in time. Send it again.' },
  conflict: {
    status: 409,
    meaning: 'The state of the object does not allow the request. `detail` says what to do first.',
  },
  gone: { status: 410, meaning: 'The data is no longer retained.' },
  precondition_failed: { status: 412, meaning: 'The file does not match `If-Match`.' },
  too_large: { status: 413, meaning: 'The body has more bytes than the limit that `detail` names.' },
  unsupported_media_type: {
    status: 415,
    meaning: 'The body has another media type, encoding or compression than the operation reads.',
  },
  range_not_satisfiable: {
    status: 416,
    meaning: 'The file has no such range. `Content-Range` has its length.',
  },
  invalid: {
    status: 422,
    meaning: 'A parameter or a field is wrong. `errors` lists each fault with its place.',
  },
  too_many: {
    status: 429,
    meaning:
      'A limit of the account is reached. Wait for the time of `Retry-After` and send the request again.',
  },
  headers_too_large: {
    status: 431,
    meaning: 'The path, the query and the headers of the request are too large together.',
  },
  internal: {
    status: 500,
    meaning: 'The fault is on our side. Try again. If the error persists, report the `request_id`.',
  },
  unavailable: {
    status: 503,
    meaning:
      'A part that the request needs does not respond. Wait for the time of `Retry-After` and try again.',
  },
  feed_behind: {
    status: 503,
    meaning: 'The change feed is too far behind to accept more work. Wait for the time of `Retry-After`.',
  },
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition failed',
  413: 'Body too large',
  415: 'Unsupported media type',
  416: 'Range not satisfiable',
  422: 'Invalid request',
  429: 'Too many requests',
  431: 'Headers too large',
  500: 'Internal error',
  503: 'Unavailable',
};

/** The short name of a code, by its status. */
export function titleOf(code: ProblemCode): string {
  return TITLES[PROBLEMS[code].status] ?? 'Error';
}

/** Its response has the length of the file in `Content-Range`. */
export class RangeNotSatisfiableError extends AppError {
  readonly bytes: number;
  constructor(bytes: number) {
    super('range_not_satisfiable', `The file has ${bytes} bytes.`);
    this.bytes = bytes;
  }
}

/** A problem document of RFC 9457. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly errors?: readonly FieldError[];
  readonly request_id: string;
  readonly [member: string]: unknown;
}

/** Any error that is not meant for the caller becomes a plain internal error. Only the log has its causes. */
export function toProblem(error: unknown, requestId: string): Problem {
  if (!(error instanceof AppError)) {
    const detail = 'An internal error occurred. Try again. If the error persists, report the request_id.';
    return describe('internal', detail, requestId);
  }
  return describe(error.code, error.message, requestId, {
    ...(error.errors.length === 0 ? {} : { errors: error.errors }),
    ...error.extra,
  });
}

export function methodNotAllowed(method: string, allowed: readonly string[], requestId: string): Problem {
  const detail = `The path does not support ${method}. Allowed: ${allowed.join(', ')}`;
  return describe('method_not_allowed', detail, requestId);
}

/** A method that has no meaning here, whatever the path. */
export class UnsupportedMethodError extends Error {
  override readonly name = 'UnsupportedMethodError';
  readonly code = 'ERR_METHOD_UNSUPPORTED';

  constructor(method: string) {
    super(`No path supports ${method}.`);
  }
}

/** The problem of a request that could not be read; the code of the error is Node's, unless it is one of ours. */
export function unreadableRequest(error: NodeJS.ErrnoException, requestId: string): Problem {
  const { code } = error;
  if (error instanceof SmallPiecesError || error instanceof UnsupportedMethodError) {
    return toProblem(new AppError('malformed', error.message), requestId);
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return toProblem(
      new AppError('too_large', 'The extensions of chunks are too large. Send none.'),
      requestId,
    );
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return toProblem(new AppError('timed_out', 'The request did not arrive in time.'), requestId);
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return describe(
      'headers_too_large',
      `The path, the query and the headers may have at most ${maxHeaderSize} bytes together.`,
      requestId,
    );
  }
  return toProblem(new AppError('malformed', 'The request is not valid HTTP.'), requestId);
}

/** Headers that go with a problem. */
export function problemHeaders(error: unknown): Record<string, string> {
  if (!(error instanceof AppError)) return {};
  return {
    ...(error.retryAfterSeconds === undefined ? {} : { 'retry-after': String(error.retryAfterSeconds) }),
    ...(error instanceof RateExceededError ? error.fields : {}),
    ...(error instanceof RangeNotSatisfiableError ? { 'content-range': `bytes */${error.bytes}` } : {}),
    // The rest of the request may still arrive, and would be read as the next request.
    ...(error.code === 'timed_out' ? { connection: 'close' } : {}),
    ...(error.code === 'unauthorized' ? { 'www-authenticate': 'Bearer' } : {}),
  };
}

/** Request IDs that a client may send. Any other is replaced, so that it cannot break a log line. */
const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;

/** The ID that the client has sent, else a new one. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const asked = headers['x-request-id'];
  return typeof asked === 'string' && REQUEST_ID.test(asked) ? asked : newId('req');
}

/** The path of the page that describes a code. */
function problemPath(code: ProblemCode): string {
  return `/docs/problems/${code}`;
}

/** A request as far as it could be read. */
export interface AskedFor {
  /** Below the public prefix. */
  readonly path: string;
  /** In lower case; undefined when absent. */
  header(name: string): string | undefined;
  /** The request itself. Undefined: it could not be read. */
  readonly incoming: object | undefined;
}

/** The page that a browser gets in place of the document. Undefined where a program may have asked. */
export type ProblemPage = (problem: Problem, asked: AskedFor) => ApiResponse | undefined;

/** The document as it is sent: its type leads to the page of the code. */
export function problemText(problem: Problem, urls: Pick<PublicUrls, 'reference'>): string {
  return JSON.stringify({ ...problem, type: urls.reference(problem.type) });
}

/** The document of a code. Its type is a path of this API. */
export function describe(
  code: ProblemCode,
  detail: string,
  requestId: string,
  extra: Readonly<Record<string, unknown>> = {},
): Problem {
  const { status } = PROBLEMS[code];
  // `about:blank` would mean that the status says everything. Programs branch on the code.
  return {
    type: problemPath(code),
    title: titleOf(code),
    status,
    detail,
    code,
    request_id: requestId,
    ...extra,
  };
}
