import type { ExportRequest } from '../../../shared/domain/export-request.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import type { SourceFacts } from '../admin/source-facts.ts';
import { parseInstant } from '../http/instant.ts';
import { invalid } from '../http/validate.ts';
import { type Retention, startAfterExport } from './feed-start.ts';
import { findExport } from './store.ts';

/** An export's request with all its resources, related ones included. */
export interface ExportScope {
  readonly request: ExportRequest;
  readonly resources: readonly string[];
}

/**
 * Checks what an export needs of the recorded feed: with changes_since every change since an earlier export, with as_of
 * the changes back to that time. Other exports need none.
 *
 * @throws AppError `invalid`, `not_found` or `conflict`, as the checks below
 */
export async function requireRecordedChanges(
  db: Queryable,
  accountId: string | null,
  wanted: ExportScope,
  source: Pick<SourceFacts, 'requireFindableKeys' | 'requireOldRows'>,
  retention: Retention,
): Promise<void> {
  const { request, resources } = wanted;
  if (request.changes_since !== null) {
    await requireChangesSince(db, accountId, request.changes_since, wanted, retention);
    await source.requireFindableKeys(resources, '/changes_since');
  }
  if (request.as_of !== null) {
    await requireAsOf(db, accountId, request, retention);
    await source.requireFindableKeys(resources, '/as_of');
    await source.requireOldRows(resources);
  }
}

/**
 * Why the earlier export plus its changes would not equal the source; empty when they do. Both must select
 * the same records by the record's own columns only, because the feed reports only records that changed.
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
  // A soft-deleted related record enters an export when a new record refers to it, and leaves again, without
  // a change of its own.
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

/**
 * Checks that a changes-since export can start from the earlier export: a feed could continue from it, and
 * both have the same scope.
 *
 * @throws AppError `not_found` for an export of another account or none, `conflict` for one that is not
 *   completed, `invalid` for one that is too old or of another scope
 */
async function requireChangesSince(
  db: Queryable,
  accountId: string | null,
  exportId: string,
  wanted: ExportScope,
  retention: Retention,
): Promise<void> {
  if (accountId === null) {
    const detail = 'is for one account only: Tandem does not record changes of unknown accounts';
    throw invalid([{ pointer: '/changes_since', detail }]);
  }
  await startAfterExport(db, accountId, exportId, '/changes_since', retention);
  const base = await findExport(db, accountId, exportId);
  const errors = base === undefined ? [] : changesSinceErrors(base, wanted);
  if (errors.length > 0) throw invalid(errors);
}

/** Why an as-of export is not possible, regardless of the events; empty when it may be. */
export function asOfErrors(
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
  // Related records depend on the records that refer to them, and the past of each record is known only by
  // itself.
  if (request.include_related && (!request.include_deleted || request.date_range !== null)) {
    refuse('/include_related', 'can be combined with as_of only with include_deleted and without date_range');
  }
  return errors;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/**
 * Checks that the account's changes were recorded at that time. The export itself finds gaps in the events
 * and then fails.
 *
 * @throws AppError `invalid`
 */
async function requireAsOf(
  db: Queryable,
  accountId: string | null,
  request: ExportRequest,
  { nowMs, eventRetentionDays }: Retention,
): Promise<void> {
  const errors = asOfErrors(request, nowMs, nowMs - eventRetentionDays * DAY_MS);
  const refusal = accountId === null ? OF_ONE_ACCOUNT : await recordingError(db, accountId, request.as_of);
  if (refusal !== undefined && !errors.some(({ pointer }) => pointer === '/as_of')) {
    errors.push({ pointer: '/as_of', detail: refusal });
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

/** Counting this many events takes a fraction of a second. With more events the estimate is a lower bound. */
const MAX_EVENTS = 20_000;

/** Bytes of an event besides its record, about. */
const ENVELOPE_BYTES = 300;

const ESTIMATE = `
select count(distinct (v.resource, v.record_key))::float8 as rows, coalesce(avg(v.bytes), 0)::float8 as event_bytes
from (
  select e.resource, e.record_key, pg_column_size(e.payload) as bytes
  from exports base
  join events e on e.account_id = base.account_id and e.commit_lsn > base.start_lsn
  where base.id = $1 and e.resource = any($2) and e.type <> 'feed.reset'
  limit ${MAX_EVENTS}
) v`;

/** Estimates a changes-since export from the events recorded so far. */
export async function estimateChanges(
  db: Queryable,
  exportId: string,
  resources: readonly string[],
): Promise<{ rows: number; bytes: number }> {
  const { rows } = await db.query<{ rows: number; event_bytes: number }>(ESTIMATE, [exportId, resources]);
  const { rows: rowCount = 0, event_bytes: eventBytes = 0 } = rows[0] ?? {};
  return { rows: rowCount, bytes: Math.round(rowCount * Math.max(0, eventBytes - ENVELOPE_BYTES)) };
}
