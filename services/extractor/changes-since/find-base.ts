import { formatSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { type FormsByResource, readForms } from '../plan/table-forms.ts';
import type { SourceIdentity } from '../source/source-connection.ts';

/** The hand-off of the earlier export that an export of changes starts from. */
export interface BaseExport {
  readonly exportId: string;
  /** `xmin:xmax:xip,…` */
  readonly snapshot: string;
  /** Everything at or before this position is in the snapshot; `X/Y`. */
  readonly startLsn: string;
  /** Nothing after this position is in the snapshot; `X/Y`. */
  readonly sealedLsn: string;
  /** The forms of its tables under the snapshot. */
  readonly tableForms: FormsByResource;
}

interface BaseRow {
  snapshot: { xmin: string; xmax: string; xip: string[] } | null;
  start_lsn: string | null;
  sealed_lsn: string | null;
  system_id: string | null;
  timeline: number | null;
  table_forms: unknown;
  is_kept: boolean;
}

/**
 * Partitions of events are created ahead and dropped after their retention. While the partition of the snapshot's day exists,
 * all later events exist.
 */
const FIND_BASE = `
select snapshot, start_lsn::text, sealed_lsn::text, system_id, timeline, table_forms,
  to_regclass('events_' || to_char((snapshot->>'taken_at')::timestamptz at time zone 'UTC', 'YYYYMMDD')) is not null
    as is_kept
from exports where id = $1 and account_id = $2 and status in ('completed', 'expired')`;

/**
 * Finds the earlier export of the same account. The API has checked it; what can have changed since then is checked again.
 *
 * @throws ExportFailedError when the changes since then are no longer complete
 */
export async function findBase(
  db: Queryable,
  exportId: string,
  accountId: string | null,
  identity: SourceIdentity,
): Promise<BaseExport> {
  const { rows } = await db.query<BaseRow>(FIND_BASE, [exportId, accountId]);
  const row = rows[0];
  if (row === undefined || row.snapshot === null || row.start_lsn === null || row.sealed_lsn === null) {
    throw new ExportFailedError('invalid_request', `There is no completed export ${exportId}.`);
  }
  if (!row.is_kept) {
    throw new ExportFailedError(
      'base_too_old',
      `Some changes since the export ${exportId} are no longer retained: create an export without changes_since.`,
    );
  }
  if (row.system_id === null) {
    throw new ExportFailedError(
      'base_too_old',
      `An earlier version created the export ${exportId} and did not store its server: ` +
        'create an export without changes_since.',
    );
  }
  if (row.system_id !== identity.systemId || row.timeline !== identity.timeline) {
    throw new ExportFailedError(
      'feed_reset',
      `The source was failed over or replaced since the export ${exportId}, so its changes since then may be ` +
        'incomplete: create an export without changes_since.',
    );
  }
  const { xmin, xmax, xip } = row.snapshot;
  const snapshot: Snapshot = { xmin: BigInt(xmin), xmax: BigInt(xmax), xip: xip.map(BigInt) };
  return {
    exportId,
    snapshot: formatSnapshot(snapshot),
    startLsn: row.start_lsn,
    sealedLsn: row.sealed_lsn,
    tableForms: readForms(row.table_forms),
  };
}
