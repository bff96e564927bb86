import { isRetried } from './retry.ts';

/** What the client throws. Every error of the package is one of these. */
export class TandemError extends Error {
  override readonly name: string = 'TandemError';
}

/** A fault of one field of a request. */
export interface FieldFault {
  /** JSON pointer into the body, or the name of a parameter. */
  readonly pointer: string;
  readonly detail: string;
}

/** A problem document of RFC 9457, as the API sends it. */
export interface ProblemDocument {
  readonly type?: string;
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly code?: string;
  readonly errors?: readonly FieldFault[];
  readonly request_id?: string;
  readonly [member: string]: unknown;
}

/** A response that is not 2xx. Its subclasses are named after the `code` of the problem. */
export class ApiError extends TandemError {
  override readonly name: string = 'ApiError';
  readonly status: number;
  /** What programs branch on: `not_found`, `invalid`, `too_many`, … */
  readonly code: string;
  /** The fields of the request that are wrong. */
  readonly errors: readonly FieldFault[];
  /** Names the request in the server's log. Give it to support. */
  readonly requestId: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  /** The whole document, with the members of its own kind, such as `active_jobs`. */
  readonly problem: ProblemDocument;

  constructor(status: number, problem: ProblemDocument, retryAfterSeconds?: number) {
    super(describe(status, problem));
    this.status = status;
    this.code = problem.code ?? `http_${status}`;
    this.errors = problem.errors ?? [];
    this.requestId = problem.request_id;
    this.retryAfterSeconds = retryAfterSeconds;
    this.problem = problem;
  }
}

function describe(status: number, { title, detail, errors = [], request_id: id }: ProblemDocument): string {
  const faults = errors.map((fault) => `${fault.pointer || 'the request'} ${fault.detail}`).join('; ');
  const said = [detail ?? title ?? `The server returned ${status}.`, faults].filter((text) => text !== '');
  return `${said.join(' ')}${id === undefined ? '' : ` (request ${id})`}`;
}

/** 400 `malformed`: the request cannot be read. */
export class MalformedError extends ApiError {
  override readonly name = 'MalformedError';
}

/** 401 `unauthorized`: the key is missing, unknown or revoked. */
export class UnauthorizedError extends ApiError {
  override readonly name = 'UnauthorizedError';
}

/** 403 `forbidden`: the key lacks the scope, or a link has expired. */
export class ForbiddenError extends ApiError {
  override readonly name = 'ForbiddenError';
}

/** 404 `not_found`: there is no such object in this account. */
export class NotFoundError extends ApiError {
  override readonly name = 'NotFoundError';
}

/** 409 `conflict`: the state of the object does not allow the request. */
export class ConflictError extends ApiError {
  override readonly name = 'ConflictError';
}

/** 410 `gone`: files or events that are no longer retained. */
export class GoneError extends ApiError {
  override readonly name = 'GoneError';
}

/** 413 `too_large`: the body is larger than the API accepts. */
export class TooLargeError extends ApiError {
  override readonly name = 'TooLargeError';
}

/** 422 `invalid`: `errors` names each field and what it must be. */
export class InvalidError extends ApiError {
  override readonly name = 'InvalidError';
}

/** 429 `too_many`: a limit of the account, still reached after all retries. */
export class TooManyError extends ApiError {
  override readonly name = 'TooManyError';
}

/** 500 `internal`: a fault of the server. */
export class InternalError extends ApiError {
  override readonly name = 'InternalError';
}

/** 503 `unavailable` or `feed_behind`: still so after all retries. */
export class UnavailableError extends ApiError {
  override readonly name = 'UnavailableError';
}

const BY_CODE: ReadonlyMap<string, typeof ApiError> = new Map<string, typeof ApiError>([
  ['malformed', MalformedError],
  ['unauthorized', UnauthorizedError],
  ['forbidden', ForbiddenError],
  ['not_found', NotFoundError],
  ['conflict', ConflictError],
  ['gone', GoneError],
  ['too_large', TooLargeError],
  ['invalid', InvalidError],
  ['too_many', TooManyError],
  ['internal', InternalError],
  ['unavailable', UnavailableError],
  ['feed_behind', UnavailableError],
]);

/** Members of a problem document that are texts. */
const TEXTS = ['type', 'title', 'detail', 'code', 'request_id'];

/**
 * A problem document. The errors of gateways have members of the same names, which hold something else: such a member is left out.
 *
 * @returns undefined for a text that is no problem document
 */
export function toProblem(text: string): ProblemDocument | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(parsed) || typeof parsed.code !== 'string') return undefined;
  const isGood = ([name, value]: [string, unknown]) =>
    name === 'errors'
      ? Array.isArray(value) && value.every(isFault)
      : !TEXTS.includes(name) || typeof value === 'string';
  return Object.fromEntries(Object.entries(parsed).filter(isGood));
}

function isFault(value: unknown): value is FieldFault {
  return isObject(value) && typeof value.pointer === 'string' && typeof value.detail === 'string';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** The error of a response, by the problem's `code`. Codes of later releases are an `ApiError`. */
export function toApiError(status: number, problem: ProblemDocument, retryAfterSeconds?: number): ApiError {
  const Kind = BY_CODE.get(problem.code ?? '') ?? ApiError;
  return new Kind(status, problem, retryAfterSeconds);
}

/** No response: the network failed, or the server closed the connection. `cause` is the error of `fetch`. */
export class ConnectionError extends TandemError {
  override readonly name = 'ConnectionError';
}

/** No response within the time limit of a request. */
export class TimeoutError extends TandemError {
  override readonly name = 'TimeoutError';
}

/** A downloaded file does not have the size or SHA-256 of the manifest. */
export class ChecksumError extends TandemError {
  override readonly name = 'ChecksumError';
}

/** A webhook request that must not be trusted. `reason` says why. */
export class SignatureError extends TandemError {
  override readonly name = 'SignatureError';
  readonly reason: 'missing_header' | 'old_timestamp' | 'wrong_signature' | 'malformed_body';

  constructor(reason: SignatureError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** An export or a bulk job ended without being completed. */
export class JobError<Job = unknown> extends TandemError {
  override readonly name = 'JobError';
  readonly job: Job;

  constructor(message: string, job: Job) {
    super(message);
    this.job = job;
  }
}

/** A replica cannot continue. */
export class ReplicaError extends TandemError {
  override readonly name = 'ReplicaError';
}

/**
 * Whether the same call may succeed later: there was no response, the server or a gateway in front of it failed, or a
 * limit is reached.
 */
export function isPassing(error: unknown): error is TandemError {
  if (error instanceof ApiError) {
    return error.status >= 500 || isRetried(error.status, error.retryAfterSeconds);
  }
  return error instanceof ConnectionError || error instanceof TimeoutError;
}
