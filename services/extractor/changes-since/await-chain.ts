import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/claim-export.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { RecordingDeps } from './await-recorded.ts';

/** Null while what is mirrored of the feed is from before the export's seal. */
const READ_TARGET = `
select f.chain_id, f.chain_seqs from feed_state f join exports e on e.id = $1 where f.passed_lsn >= e.sealed_lsn`;

/**
 * Partitions of which less is recorded than was published. One that is not there is left to the offsets: an earlier version, which
 * did not count, recorded it.
 */
const FIND_BEHIND = `
select r.partition || ':' || r.chain || ':' || r.seq as behind
from recorded_chain r cross join lateral (select coalesce(($2::bigint[])[r.partition + 1], 0) as seq) p
where (r.chain, r.seq) < ($1::text collate "C", p.seq) and (r.seq > 0 or p.seq > 0)
order by r.partition`;

/**
 * Waits until all that was published before the export's seal is recorded, by capture's own count: offsets pass over records that
 * the topic has lost.
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
