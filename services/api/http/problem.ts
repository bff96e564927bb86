import { AppError, type AppErrorCode, type FieldError } from '../../../shared/runtime/errors.ts';
import { RateExceededError } from './rate-limit-fields.ts';

/** The only place where an error's code becomes a status. */
const STATUS: Record<AppErrorCode, number> = {
  malformed: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  timed_out: 408,
  conflict: 409,
  gone: 410,
  precondition_failed: 412,
  too_large: 413,
  unsupported_media_type: 415,
  range_not_satisfiable: 416,
  invalid: 422,
  too_many: 429,
  unavailable: 503,
  feed_behind: 503,
};

const TITLE: Record<number, string> = {
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
    return describe(500, 'internal', detail, requestId);
  }
  return describe(STATUS[error.code], error.code, error.message, requestId, {
    ...(error.errors.length === 0 ? {} : { errors: error.errors }),
    ...error.extra,
  });
}

export function methodNotAllowed(method: string, allowed: readonly string[], requestId: string): Problem {
  const detail = `The path does not support ${method}. Allowed: ${allowed.join(', ')}`;
  return describe(405, 'method_not_allowed', detail, requestId);
}

/** The problem of a request that Node could not read; `code` is Node's. */
export function unreadableRequest(code: string | undefined, requestId: string): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return toProblem(new AppError('timed_out', 'The request did not arrive in time.'), requestId);
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return describe(431, 'headers_too_large', 'The headers are too large.', requestId);
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

function describe(
  status: number,
  code: string,
  detail: string,
  requestId: string,
  extra: Readonly<Record<string, unknown>> = {},
): Problem {
  const title = TITLE[status] ?? 'Error';
  // `about:blank` would mean that the status says everything. Programs branch on the code.
  return { type: `urn:tandem:problem:${code}`, title, status, detail, code, request_id: requestId, ...extra };
}
