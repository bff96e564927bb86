import type { z } from 'zod';
import { AppError, type FieldError } from '../../../shared/runtime/errors.ts';

/** Where the input came from: body errors carry JSON pointers, parameters their names. */
export type InputKind = 'body' | 'query';

/**
 * Checks an input against its schema and further rules, which see the input as it came, so that everything wrong
 * with it is told at once.
 *
 * @throws AppError `invalid` with every finding
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  kind: InputKind,
  rules: (input: Readonly<Record<string, unknown>>) => readonly FieldError[] = () => [],
): z.output<Schema> {
  const result = schema.safeParse(input, { reportInput: false });
  const found = result.success ? [] : result.error.issues.flatMap((issue) => toFieldErrors(issue, kind));
  const errors = [...found, ...(isObject(input) ? rules(input) : [])];
  if (errors.length > 0) throw invalid(errors);
  if (!result.success) throw result.error;
  return result.data;
}

export function invalid(errors: readonly FieldError[]): AppError {
  const [first] = errors;
  const summary =
    errors.length === 1 && first !== undefined
      ? `${first.pointer === '' ? 'The body' : first.pointer}: ${first.detail}`
      : `${errors.length} things are wrong with this request; see errors.`;
  return new AppError('invalid', summary, { errors });
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
