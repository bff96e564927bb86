import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import { parseInstant } from './instant.ts';

/** Why an export of that past moment is not possible, whatever the events say; none when it may be. */
export function pastMomentErrors(
  { as_of: asOf, ...request }: ExportRequest,
  nowMs: number,
  keptSinceMs: number,
): FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (pointer: string, detail: string) => errors.push({ pointer, detail });
  const moment = parseInstant(asOf ?? '') ?? 0n;
  if (moment > BigInt(nowMs) * 1_000n) refuse('/as_of', 'is in the future');
  if (moment < BigInt(keptSinceMs) * 1_000n) {
    refuse(
      '/as_of',
      `is older than the changes that are kept, from ${new Date(keptSinceMs).toISOString()} on`,
    );
  }
  if (request.changes_since !== null) {
    refuse('/changes_since', 'is not possible with as_of: take two exports, each as of its moment');
  }
  // Which records come along depends on others that refer to them, and of the past each is only known by itself.
  if (request.include_related && (!request.include_deleted || request.date_range !== null)) {
    refuse('/include_related', 'is possible with as_of only with include_deleted and without date_range');
  }
  return errors;
}
