import type { Queryable } from '../../postgres/queryable.ts';
import type { ClaimedChunk } from './claim-chunk.ts';

/**
 * Notes that a handler is about to be asked for these items. From here on they have a result when the job ends, whatever
 * becomes of this process and of the answer.
 *
 * @returns false when none may be begun: the chunk is another's, or its job is paused or to end
 */
export async function beginItems(
  db: Queryable,
  claim: ClaimedChunk,
  seqs: readonly number[],
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'bulk_begin_items',
    text: `update bulk_chunks c set begun = array(select unnest(c.begun) union select unnest($5::int[]))
           from bulk_jobs j
           where c.job_id = $1 and c.chunk = $2 and c.attempt = $3 and c.lease_owner = $4 and c.state = 'working'
             and j.id = c.job_id and j.ending is null and j.status <> 'paused'`,
    values: [claim.jobId, claim.chunk, claim.attempt, claim.owner, seqs],
  });
  return rowCount === 1;
}
