import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { RecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import { ExportFailedError } from '../extraction-errors.ts';

export interface RecordingDeps {
  readonly recordedChanges: RecordedChanges;
  /** Recording counts as stopped when it makes no progress for this long. */
  readonly feedTimeoutMs: number;
  /** Waits while the condition holds, keeping the snapshot. */
  readonly waitWhile: (mustWait: () => Promise<boolean>) => Promise<void>;
}

/**
 * Keeps the session alive during a long query in the control store: the server ends a session that holds a snapshot and
 * stays idle.
 */
export async function keptAlive<T>(
  work: Promise<T>,
  { waitWhile }: Pick<RecordingDeps, 'waitWhile'>,
): Promise<T> {
  let isUnderWay = true;
  const end = () => {
    isUnderWay = false;
  };
  work.then(end, end);
  await waitWhile(async () => isUnderWay);
  return work;
}

/**
 * Waits until the event log has all events of the held snapshot. Call it once the feed has passed the snapshot's seal: the
 * changes are in the topic then.
 *
 * @throws ExportFailedError when recording stands still
 */
export async function awaitRecorded({
  recordedChanges,
  feedTimeoutMs,
  waitWhile,
}: RecordingDeps): Promise<void> {
  const end = await recordedChanges.end();
  let seen = '';
  let movedAtMs = Date.now();
  await waitWhile(async () => {
    const missing = (await recordedChanges.missing(end)).join();
    if (missing === '') return false;
    if (missing !== seen) {
      seen = missing;
      movedAtMs = Date.now();
    }
    const stoodMs = Date.now() - movedAtMs;
    if (stoodMs < feedTimeoutMs) return true;
    throw new ExportFailedError(
      'feed_not_running',
      `No changes were recorded for ${Math.round(stoodMs / 1_000)} s: check that dispatcher runs.`,
    );
  });
}

/** Null while the mirrored state of the feed is older than the export's seal. */
const READ_TARGET = `
select f.chain_id, f.chain_seqs from feed_state f join exports e on e.id = $1 where f.passed_lsn > e.sealed_lsn`;

/**
 * Partitions of which less is recorded than was published. Offsets decide about a partition without counts, which an earlier
 * version recorded.
 */
const FIND_BEHIND = `
select r.partition || ':' || r.chain || ':' || r.seq as behind
from recorded_chain r cross join lateral (select coalesce(($2::bigint[])[r.partition + 1], 0) as seq) p
where (r.chain, r.seq) < ($1::text collate "C", p.seq) and (r.seq > 0 or p.seq > 0)
order by r.partition`;

/**
 * Waits until everything published before the export's seal is recorded. Uses capture's counts, because offsets skip records
 * that the topic has lost.
 *
 * @throws ExportFailedError when records are missing
 */
export async function awaitChainRecorded(
  control: Pool,
  { id }: ClaimedExport,
  { feedTimeoutMs, waitWhile }: Pick<RecordingDeps, 'feedTimeoutMs' | 'waitWhile'>,
): Promise<void> {
  let target: { chain_id: string | null; chain_seqs: string[] | null } | undefined;
  await waitWhile(async () => {
    const { rows } = await control.query<NonNullable<typeof target>>(READ_TARGET, [id]);
    target = rows[0];
    return target === undefined;
  });
  if (target?.chain_id == null) return;
  const wanted = [target.chain_id, target.chain_seqs];
  let seen = '';
  let movedAtMs = Date.now();
  await waitWhile(async () => {
    const { rows } = await control.query<{ behind: string }>(FIND_BEHIND, wanted);
    if (rows.length === 0) return false;
    const behind = rows.map((row) => row.behind).join();
    if (behind !== seen) {
      seen = behind;
      movedAtMs = Date.now();
    }
    if (Date.now() - movedAtMs < feedTimeoutMs) return true;
    throw new ExportFailedError(
      'feed_reset',
      'Kafka lost changes before they were recorded: create an export of the present state.',
    );
  });
}
