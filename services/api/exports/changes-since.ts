import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';

/** An export's request with all of its resources, those that came along too. */
export interface ExportScope {
  readonly request: ExportRequest;
  readonly resources: readonly string[];
}

/**
 * Why the earlier export and its changes would not add up to the source; none when they do. They do when both select
 * the same records by nothing but what a record itself says, since only a record that changed is told of.
 */
export function changesSinceErrors(base: ExportScope, wanted: ExportScope): FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (pointer: string, detail: string) => errors.push({ pointer, detail });
  const earlier = `the export ${wanted.request.changes_since}`;
  if (base.request.date_range !== null) {
    refuse('/changes_since', `${earlier} has a date range; use an export without one`);
  }
  if (wanted.request.date_range !== null) {
    refuse('/date_range', 'cannot be combined with changes_since; omit it');
  }
  if (!isSame(base.resources, wanted.resources)) {
    refuse('/resources', `must be those of ${earlier}: ${base.resources.join(', ')}`);
  }
  if (base.request.include_deleted !== wanted.request.include_deleted) {
    refuse('/include_deleted', `must be as in ${earlier}: ${base.request.include_deleted}`);
  }
  // A soft-deleted record comes along when one that refers to it is new, and leaves again, without a change of its own.
  if (!base.request.include_deleted && (base.request.include_related || wanted.request.include_related)) {
    refuse(
      '/include_related',
      'can be combined with changes_since only if both exports have include_deleted',
    );
  }
  const [before, now] = [base.request.fields ?? [], wanted.request.fields ?? []];
  if (!isSame(before, now)) {
    refuse('/fields', `must be as in ${earlier}: ${before.length === 0 ? 'omitted' : before.join(', ')}`);
  }
  return errors;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}
