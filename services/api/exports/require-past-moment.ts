import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import { invalid } from '../http/validate.ts';
import type { Retention } from './feed-start.ts';
import { pastMomentErrors } from './past-moment.ts';

const POINTER = '/as_of';
const DAY_MS = 24 * 60 * 60 * 1_000;

/**
 * Makes sure that the account's past at that moment can be told, as far as that is known before its events are looked
 * through; the rest fails the export.
 *
 * @throws AppError `invalid`
 */
export async function requirePastMoment(
  db: Queryable,
  accountId: string | null,
  request: ExportRequest,
  { nowMs, eventRetentionDays }: Retention,
): Promise<void> {
  const errors = pastMomentErrors(request, nowMs, nowMs - eventRetentionDays * DAY_MS);
  const refusal = accountId === null ? OF_ONE_ACCOUNT : await recordingError(db, accountId, request.as_of);
  if (refusal !== undefined && !errors.some(({ pointer }) => pointer === POINTER)) {
    errors.push({ pointer: POINTER, detail: refusal });
  }
  if (errors.length > 0) throw invalid(errors);
}

const OF_ONE_ACCOUNT = 'is for one account only: Tandem does not record changes of unknown accounts';

async function recordingError(
  db: Queryable,
  accountId: string,
  moment: string | null,
): Promise<FieldError['detail'] | undefined> {
  const { rows } = await db.query<{ is_recorded: boolean; recorded_from: string | null }>(
    `select coalesce(recorded_from_at <= $2::timestamptz, false) as is_recorded,
       to_char(recorded_from_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as recorded_from
     from accounts where id = $1`,
    [accountId, moment],
  );
  const row = rows[0];
  if (row === undefined || row.is_recorded) return undefined;
  return row.recorded_from === null
    ? "is before the recording of the account's changes, which begins once an extractor runs"
    : `is before ${row.recorded_from}, when the recording of the account's changes began`;
}
