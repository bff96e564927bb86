import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { ChainLink } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { ReadBounds } from './read-bounds.ts';
import type { Recorder } from './recorder.ts';

/** Between two looks. What is noticed in one is told in the next at the earliest, so that what is in hand has its time. */
const LOOK_MS = 3_000;

/** What capture has published of a partition, and of which less is recorded. */
interface Behind {
  readonly partition: number;
  readonly recorded: ChainLink;
  readonly published: ChainLink;
  /** Everything published is at or before it, unless a transaction was published in part. */
  readonly passedLsn: Lsn;
  /** Commit LSN of the last published change, and so of that transaction. */
  readonly lastCommitLsn: Lsn;
}

/** As it was first noticed, but for the place in which it is to be told: that comes to be behind all that was published then. */
interface Suspect extends Behind {
  /** Of the partition, read after it was known what is published: all of that is before, if it is there at all. */
  readonly end: bigint;
}

export interface LostTailDeps {
  readonly db: Queryable;
  readonly bounds: ReadBounds;
  readonly recorder: Pick<Recorder, 'ownPartitions' | 'loseTail'>;
  readonly now: () => number;
  readonly log: Log;
}

/** One that is not there is left to the offsets: an earlier version, which did not count, recorded it. */
const FIND_BEHIND = `
select r.partition, r.chain, r.seq::text, f.chain_id, p.seq::text as published, f.passed_lsn::text,
  f.last_commit_lsn::text
from feed_state f cross join recorded_chain r
cross join lateral (select coalesce(f.chain_seqs[r.partition + 1], 0) as seq) p
where f.chain_id is not null and (r.chain, r.seq) < (f.chain_id collate "C", p.seq)
  and (r.seq > 0 or p.seq > 0)`;

/**
 * Notices that the last changes of a partition were lost, behind which none comes that would show it by its number: what capture
 * says that it has published is not recorded, and there is nothing left to read of it.
 */
export function createLostTailWatch(deps: LostTailDeps, lookMs: number = LOOK_MS): Worker {
  const { db, bounds, log } = deps;
  let suspects = new Map<number, Suspect>();

  async function findBehind(): Promise<Behind[]> {
    const { rows } = await db.query<{
      partition: number;
      chain: string;
      seq: string;
      chain_id: string;
      published: string;
      passed_lsn: string;
      last_commit_lsn: string | null;
    }>({ name: 'find_lost_tails', text: FIND_BEHIND });
    const own = deps.recorder.ownPartitions();
    return rows
      .filter(({ partition }) => own.has(partition))
      .map(({ partition, chain, seq, chain_id, published, passed_lsn, last_commit_lsn }) => ({
        partition,
        recorded: { chain, seq: Number(seq) },
        published: { chain: chain_id, seq: Number(published) },
        passedLsn: parseLsn(passed_lsn),
        lastCommitLsn: last_commit_lsn === null ? 0n : parseLsn(last_commit_lsn),
      }));
  }

  async function look(): Promise<void> {
    const behind = await findBehind();
    if (behind.length === 0) {
      suspects.clear();
      return;
    }
    const ends = await bounds.ends();
    const committed = await bounds.committed();
    const before = suspects;
    suspects = new Map();
    for (const each of behind) {
      const { partition, recorded } = each;
      const { low, high } = ends.get(partition) ?? { low: 0n, high: 0n };
      const suspect = before.get(partition);
      const isStill = suspect !== undefined && isSameLink(suspect.recorded, recorded);
      if (!isStill) {
        suspects.set(partition, { ...each, end: high });
        continue;
      }
      if (suspect.passedLsn <= suspect.lastCommitLsn) {
        // A part of that transaction may be lost, and a feed may begin right before it.
        suspects.set(partition, { ...suspect, passedLsn: each.passedLsn, end: high });
        continue;
      }
      const isRead = (committed.get(partition) ?? -1n) >= suspect.end;
      const isGone = low >= suspect.end || high < suspect.end;
      if (isRead || isGone) await tellLost(suspect);
      else suspects.set(partition, suspect);
    }
  }

  /** In a place that is ahead of all that is published from now on, since capture had come so far. */
  async function tellLost({ partition, passedLsn, recorded, published, end }: Suspect): Promise<void> {
    const committedAtMicros = BigInt(deps.now()) * 1_000n;
    const place = { lsn: passedLsn, commitLsn: passedLsn, committedAtMicros };
    const isLost = await deps.recorder.loseTail(partition, published, end, place);
    if (isLost) log.error('changes.lost_at_end', { partition, recorded, published });
  }

  return {
    name: 'lost-tail-watch',
    async run(signal) {
      while (!signal.aborted) {
        await sleep(lookMs, signal);
        if (signal.aborted) return;
        try {
          await look();
        } catch (error) {
          log.warn('lost_changes.not_watched', { error });
        }
      }
    },
  };
}

const isSameLink = (a: ChainLink, b: ChainLink) => a.chain === b.chain && a.seq === b.seq;
