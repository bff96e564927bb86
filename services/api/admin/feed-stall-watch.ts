import type { Pool } from 'pg';
import { isSlotLost, type SlotWatch } from '../../../shared/catalog/slot-health.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { findFeedAge, recordMoving, recordStall } from './feed-status.ts';

/** As customers read it in `feed.stalled`. */
export type StallReason = 'slot_missing' | 'slot_lost' | 'not_moving';

export interface StallVerdict {
  readonly reason: StallReason;
  readonly detail: string;
}

const CHECK_INTERVAL_MS = 5_000;

/**
 * A feed that moves does so within ten seconds. While the slot is missing, a moved position alone does not
 * end a stall.
 */
function classifyStall(
  sight: ReturnType<SlotWatch['latest']>,
  feedAgeSeconds: number | undefined,
  stallAfterSeconds: number,
): StallVerdict | undefined {
  // A feed that never ran has no readers.
  if (feedAgeSeconds === undefined) return undefined;
  if (sight !== undefined && sight.slot === undefined) {
    return {
      reason: 'slot_missing',
      detail: 'the replication slot does not exist: see "Gap possible" in deploy/README.md',
    };
  }
  if (sight?.slot !== undefined && isSlotLost(sight.slot)) {
    return {
      reason: 'slot_lost',
      detail: 'the replication slot has lost its WAL: see "Gap possible" in deploy/README.md',
    };
  }
  if (feedAgeSeconds < stallAfterSeconds) return undefined;
  return {
    reason: 'not_moving',
    detail: 'the feed has not moved: read the logs of capture and dispatcher, and check that Kafka runs',
  };
}

export interface StallWatchDeps {
  readonly pool: Pool;
  readonly slotWatch: Pick<SlotWatch, 'latest'>;
  readonly stallAfterSeconds: number;
  readonly checkIntervalMs?: number;
  readonly log: Log;
}

/**
 * Reports a feed stall to the operator and to every account that subscribes to `feed.stalled`, because a
 * reader cannot tell a stall from a quiet source. Any number of api processes may check at once.
 */
export function createFeedStallWatch({
  pool,
  slotWatch,
  stallAfterSeconds,
  checkIntervalMs = CHECK_INTERVAL_MS,
  log,
}: StallWatchDeps): Worker {
  const check = async () => {
    const reading = slotWatch.latest();
    const verdict = classifyStall(reading, await findFeedAge(pool), stallAfterSeconds);
    if (verdict === undefined) {
      if (await recordMoving(pool, stallAfterSeconds, reading !== undefined)) log.info('feed.resumed', {});
    } else if (
      await recordStall(
        pool,
        verdict.reason,
        verdict.detail,
        verdict.reason === 'not_moving' ? stallAfterSeconds : 0,
      )
    ) {
      log.error('feed.stalled', { ...verdict });
    }
  };
  return {
    name: 'feed-stall-watch',
    run(signal) {
      const onFailed = (error: unknown) => log.warn('feed.not_watched', { error });
      return runRounds(check, { restMs: checkIntervalMs, onFailed }, signal);
    },
  };
}
