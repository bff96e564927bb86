/**
 * Three kinds of error live here and are told apart by class, never by message text:
 * `AppError` is meant for the caller, the typed operational errors beside their modules carry
 * facts for a decision, and everything else is a bug that ends the process.
 */

export type AppErrorCode =
  | 'invalid'
  | 'malformed'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'timed_out'
  | 'conflict'
  | 'gone'
  | 'too_large'
  | 'unsupported_media_type'
  | 'precondition_failed'
  | 'range_not_satisfiable'
  | 'too_many'
  | 'unavailable'
  | 'feed_behind';

/** One thing wrong with a request. `pointer` is an RFC 6901 JSON pointer into the body, or a parameter's name. */
export interface FieldError {
  pointer: string;
  detail: string;
}

/** An error whose text is for the caller. The API maps `code` to a status once. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: AppErrorCode;
  readonly errors: readonly FieldError[];
  /** Extra members of the problem document, for example the active jobs of a full queue. */
  readonly extra: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: AppErrorCode,
    message: string,
    options: {
      errors?: readonly FieldError[];
      extra?: Readonly<Record<string, unknown>>;
      retryAfterSeconds?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.errors = options.errors ?? [];
    this.extra = options.extra ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** Set-up that can't work: an operator's mistake, with what to do about it. The process exits with 2 and no stack. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
  /** One finding a line, each with its remedy. */
  readonly findings: readonly string[];

  constructor(message: string, findings: readonly string[] = []) {
    super(
      findings.length === 0 ? message : `${message}\n${findings.map((line) => `  - ${line}`).join('\n')}`,
    );
    this.findings = findings;
  }
}

/** The chain of an error and its causes as plain data, for a log line. Ends after eight links, so that a cycle can't hang it. */
export function describeError(error: unknown): Record<string, unknown> {
  const chain: Record<string, unknown>[] = [];
  let current: unknown = error;
  while (current !== undefined && current !== null && chain.length < 8) {
    if (current instanceof Error) {
      const code = (current as { code?: unknown }).code;
      chain.push({
        name: current.name,
        message: current.message,
        ...(code === undefined ? {} : { code }),
        ...(chain.length === 0 ? { stack: current.stack } : {}),
      });
      current = current.cause;
    } else {
      chain.push({ message: String(current) });
      current = undefined;
    }
  }
  return { ...chain[0], ...(chain.length > 1 ? { causes: chain.slice(1) } : {}) };
}
