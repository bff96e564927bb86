import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import { parseInstant } from '../http/instant.ts';

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
      `is older than the retained changes, which begin at ${new Date(keptSinceMs).toISOString()}`,
    );
  }
  if (request.changes_since !== null) {
    refuse('/changes_since', 'cannot be combined with as_of: create two exports, each with its own as_of');
  }
  // Which records come along depends on others that refer to them, and of the past each is only known by itself.
  if (request.include_related && (!request.include_deleted || request.date_range !== null)) {
    refuse('/include_related', 'can be combined with as_of only with include_deleted and without date_range');
  }
  return errors;
}
