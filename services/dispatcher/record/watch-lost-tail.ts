import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { ChainLink } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { ReadBounds } from './read-bounds.ts';
import type { Recorder } from './recorder.ts';

/**
 * Time between two checks. A loss that one check suspects is reported by a later one, so that records under way can
 * arrive.
 */
const LOOK_MS = 3_000;

/** What capture has published of a partition that is recorded less far. */
interface Behind {
  readonly partition: number;
  readonly recorded: ChainLink;
  readonly published: ChainLink;
  /** Everything published is at or before this LSN, unless a transaction was published in part. */
  readonly passedLsn: Lsn;
  /** Commit LSN of the last published change, and so of that partial transaction. */
  readonly lastCommitLsn: Lsn;
}

/**
 * A suspected loss as first noticed. Only the place of its report changes: it moves behind everything published by
 * then.
 */
interface Suspect extends Behind {
  /** The partition's end, read after the published state: everything published is before it, if it still exists. */
  readonly end: bigint;
}

export interface LostTailDeps {
  readonly db: Queryable;
  readonly bounds: ReadBounds;
  readonly recorder: Pick<Recorder, 'ownPartitions' | 'loseTail'>;
  readonly now: () => number;
  readonly log: Log;
}

/** Partitions that are absent were recorded by an earlier version, which did not count; their offsets decide. */
const FIND_BEHIND = `
select r.partition, r.chain, r.seq::text, f.chain_id, p.seq::text as published, f.passed_lsn::text,
  f.last_commit_lsn::text
from feed_state f cross join recorded_chain r
cross join lateral (select coalesce(f.chain_seqs[r.partition + 1], 0) as seq) p
where f.chain_id is not null and (r.chain, r.seq) < (f.chain_id collate "C", p.seq)
  and (r.seq > 0 or p.seq > 0)`;

/**
 * Notices lost records at a partition's end, which no later record reveals by its number: capture's state says that
 * they were published, they are not recorded, and nothing is left to read.
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
        // Part of that transaction may be lost, and a feed may start right before it.
        suspects.set(partition, { ...suspect, passedLsn: each.passedLsn, end: high });
        continue;
      }
      const isRead = (committed.get(partition) ?? -1n) >= suspect.end;
      const isGone = low >= suspect.end || high < suspect.end;
      if (isRead || isGone) await tellLost(suspect);
      else suspects.set(partition, suspect);
    }
  }

  /** Reports the loss at a place before everything that is published from now on. */
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
