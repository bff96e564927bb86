import { ApiError, JobError, TandemError } from '../../../schemas/clients/typescript/src/index.ts';
import { printable } from './format.ts';

/**
 * What a person reads of a failed request, line by line: what is wrong, in which fields, the code, the request's ID, and
 * the page that explains the code. Undefined for an error that is not of the API, the network or the file system.
 *
 * @param baseUrl of the API: the page of a problem is relative to it
 */
export function describeFailure(error: unknown, baseUrl: string | undefined): string[] | undefined {
  if (error instanceof ApiError) {
    const { detail, title, type } = error.problem;
    const said = detail ?? title ?? `the server returned ${error.status}`;
    const page = type === undefined || baseUrl === undefined ? null : URL.parse(type, baseUrl);
    const lines = [
      said,
      ...error.errors
        .filter((fault) => !said.includes(fault.detail))
        .map((fault) => `  ${fault.pointer || 'the request'} ${fault.detail}`),
      ...(error.retryAfterSeconds === undefined ? [] : [`  try again in ${error.retryAfterSeconds} s`]),
      `  code ${error.code}${error.requestId === undefined ? '' : `, request ${error.requestId}`}`,
      ...(page === null || page.protocol === 'about:' ? [] : [`  ${page.href}`]),
    ];
    return lines.map(printable);
  }
  if (error instanceof TandemError || isFileError(error)) return [printable(error.message)];
  return undefined;
}

/** The same for a program: the problem document as it came, or what there is without one. */
export function failureDocument(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof ApiError) return { ...error.problem, status: error.status, code: error.code };
  const { name, message } = error as Error;
  return { code: name, detail: message, ...(error instanceof JobError ? { job: error.job } : {}) };
}

function isFileError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
