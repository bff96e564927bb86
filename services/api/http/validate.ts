import type { z } from 'zod';
import { AppError, type FieldError } from '../../../shared/runtime/errors.ts';
import { describeIssue } from './describe-issue.ts';

/** The source of the input: errors of a body have JSON pointers, those of parameters have names. */
export type InputKind = 'body' | 'query';

/**
 * Checks an input against its schema and further rules, which see the unparsed input, so that all faults are
 * reported at once.
 *
 * @throws AppError `invalid` with every fault
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  kind: InputKind,
  rules: (input: Readonly<Record<string, unknown>>) => readonly FieldError[] = () => [],
): z.output<Schema> {
  const result = schema.safeParse(input, { reportInput: false, error: describeIssue });
  const found = result.success
    ? []
    : withoutConsequences(result.error.issues).flatMap((issue) => toFieldErrors(issue, kind));
  const errors = [...found, ...(isObject(input) ? rules(input) : [])];
  if (errors.length > 0) throw invalid(errors);
  if (!result.success) throw result.error;
  return result.data;
}

/** The schema compares the length of a text with that of the list that it should be. Such an issue tells nothing new. */
function withoutConsequences(issues: readonly z.core.$ZodIssue[]): readonly z.core.$ZodIssue[] {
  const wrong = new Set(
    issues.filter(({ code }) => code === 'invalid_type').map(({ path }) => toPointer(path)),
  );
  return issues.filter(({ code, path }) => code === 'invalid_type' || !wrong.has(toPointer(path)));
}

/** Errors in one problem document: more than anybody reads, and few enough for a response of some kilobytes. */
export const MAX_ERRORS_SHOWN = 50;

/** Characters of a pointer or a detail, which may quote the request. */
const MAX_SHOWN_CHARACTERS = 500;

/** An error with the first faults, and the number of those left out, so that the response stays small. */
export function invalid(errors: readonly FieldError[]): AppError {
  const [first, second] = errors;
  const shown = errors.slice(0, MAX_ERRORS_SHOWN).map(({ pointer, detail }) => ({
    pointer: shortened(pointer),
    detail: shortened(detail),
  }));
  const omitted = errors.length - shown.length;
  const summary =
    first !== undefined && second === undefined
      ? shortened(`${first.pointer === '' ? 'The body' : first.pointer}: ${first.detail}`)
      : `The request has ${errors.length} errors; see errors${omitted === 0 ? '' : `, which lists the first ${shown.length}`}.`;
  return new AppError('invalid', summary, {
    errors: shown,
    ...(omitted === 0 ? {} : { extra: { errors_omitted: omitted } }),
  });
}

function shortened(text: string): string {
  return text.length <= MAX_SHOWN_CHARACTERS
    ? text
    : `${text.slice(0, MAX_SHOWN_CHARACTERS).toWellFormed()}…`;
}

/** An RFC 6901 pointer. */
export function toPointer(path: readonly PropertyKey[]): string {
  return path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

function toFieldErrors(issue: z.core.$ZodIssue, kind: InputKind): FieldError[] {
  const place = (path: readonly PropertyKey[]) =>
    kind === 'body' ? toPointer(path) : path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      pointer: place([...issue.path, key]),
      detail: `unknown ${kind === 'body' ? 'field' : 'parameter'} "${key}"`,
    }));
  }
  return [{ pointer: place(issue.path), detail: issue.message }];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
