import type { Queryable } from '../../shared/postgres/queryable.ts';

/** What the feed has published and not yet recorded in the event log. */
export interface FeedBacklog {
  /**
   * @returns changes that were published at the previous call and are not recorded now. So what is on its way is not
   * counted, and neither is what was recorded since the recorders last stored their place, which they do twice a second
   */
  read(): Promise<number>;
}

/** Capture counts what it publishes in each partition. A new chain of numbers starts at 1. */
interface Published {
  readonly chain: string | null;
  readonly seqs: readonly string[];
}

/** Without partitions, nothing was recorded, or only by an earlier version, which did not count. */
const READ = `
select f.chain_id as chain, f.chain_seqs::text[] as seqs,
  array(select r.partition from recorded_chain r order by r.partition) as partitions,
  array(select r.chain from recorded_chain r order by r.partition) as recorded_chains,
  array(select r.seq::text from recorded_chain r order by r.partition) as recorded_seqs
from feed_state f`;

interface FeedRow {
  chain: string | null;
  seqs: string[] | null;
  partitions: number[];
  recorded_chains: string[];
  recorded_seqs: string[];
}

/** Reads the copies that the dispatcher keeps of capture's and the recorders' counts. */
export function createFeedBacklog(control: Queryable): FeedBacklog {
  let previous: Published = { chain: null, seqs: [] };
  return {
    async read() {
      const { rows } = await control.query<FeedRow>({ name: 'bulk_feed_backlog', text: READ });
      const [row] = rows;
      if (row === undefined) return 0;
      const unrecorded = countUnrecorded(previous, row);
      previous = { chain: row.chain, seqs: row.seqs ?? [] };
      return unrecorded;
    },
  };
}

function countUnrecorded({ chain, seqs }: Published, row: FeedRow): number {
  if (chain === null) return 0;
  return row.partitions.reduce((sum, partition, index) => {
    const recordedChain = row.recorded_chains[index] ?? '';
    // A recorder that is in a later chain has everything of this one.
    if (recordedChain > chain) return sum;
    const recorded = recordedChain === chain ? Number(row.recorded_seqs[index] ?? 0) : 0;
    return sum + Math.max(0, Number(seqs[partition] ?? 0) - recorded);
  }, 0);
}
