import type { Pool } from 'pg';
import {
  expireOverdue,
  findUnremoved,
  noteRemoved,
  tellExpiring,
} from '../../../shared/control/exports/export-retention.ts';
import { failOverduePauses } from '../../../shared/control/exports/pause-export.ts';
import { exportFolder } from '../../../shared/protocol/storage-paths.ts';
import { eachAlone } from '../../../shared/runtime/each-alone.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { sweepOperatorSessions } from '../admin/operator-session-store.ts';
import { sweepPortal } from '../admin/portal-store.ts';
import { sweepAudit } from '../http/audit-log.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;
const ROUND_MS = 60_000;

/** Exports per round. The next round follows without a pause while a round is full. */
const BATCH = 100;

/** After this number of failures storage counts as unavailable, and the round ends. Each further attempt would wait for its timeout. */
const MAX_FAILURES_IN_ROW = 3;

/** More than a year, so that a yearly audit finds the whole year before it. */
const AUDIT_KEPT_DAYS = 400;
const AUDIT_BATCH = 5_000;

/** How long ended sessions of the dashboard are kept, so that a late visitor learns that the session is over. */
const PORTAL_KEPT_DAYS = 2;

export interface RetentionSweeperDeps {
  readonly pool: Pool;
  readonly storage: { deleteFolder(folder: string): Promise<void> };
  readonly now: () => number;
  readonly log: Log;
}

/**
 * One round of retention. It announces files that expire soon, expires exports, fails exports that are paused for too
 * long, and deletes the files of expired exports. It also removes old entries of the audit log, and old links and
 * sessions of the dashboard. The status changes first, then the files are deleted, then the deletion is recorded. So no
 * link leads to a missing file, and after a crash at any line the next round finishes the work. Several processes may
 * run rounds at once.
 *
 * @returns whether a further round has work to do now
 */
export async function sweepExports(
  { pool, storage, now, log }: RetentionSweeperDeps,
  signal?: AbortSignal,
): Promise<boolean> {
  const at = new Date(now());
  const announced = await tellExpiring(pool, at, BATCH);
  const expired = await expireOverdue(pool, at, BATCH);
  const overdue = await failOverduePauses(pool, at, BATCH);
  const removed = await removeFiles(pool, storage, at, log, signal);
  const audit = await sweepAudit(pool, new Date(at.getTime() - AUDIT_KEPT_DAYS * DAY_MS), AUDIT_BATCH);
  const sessionsBefore = new Date(at.getTime() - PORTAL_KEPT_DAYS * DAY_MS);
  const portal = await sweepPortal(pool, sessionsBefore, BATCH);
  await sweepOperatorSessions(pool, sessionsBefore, BATCH);
  if (announced + expired + overdue + removed > 0) {
    log.info('exports.tended', { announced, expired, overdue, removed });
  }
  return Math.max(announced, expired, overdue, portal) === BATCH || audit === AUDIT_BATCH;
}

/** Oldest first, by ID. An export whose files cannot be deleted now is skipped until the next round. */
async function removeFiles(
  pool: Pool,
  storage: RetentionSweeperDeps['storage'],
  at: Date,
  log: Log,
  signal: AbortSignal | undefined,
): Promise<number> {
  const onFailure = (exportId: string, error: unknown) => log.warn('export.not_removed', { exportId, error });
  const each = {
    onFailure,
    maxFailuresInRow: MAX_FAILURES_IN_ROW,
    ...(signal === undefined ? {} : { signal }),
  };
  let removed = 0;
  for (let after = ''; ; ) {
    const unremoved = await findUnremoved(pool, after, BATCH);
    const { done, isCutShort } = await eachAlone(unremoved, each, async (id) => {
      await storage.deleteFolder(exportFolder(id));
      await noteRemoved(pool, id, at);
    });
    removed += done;
    if (isCutShort || unremoved.length < BATCH) return removed;
    after = unremoved.at(-1) ?? '';
  }
}

export function createRetentionSweeper(deps: RetentionSweeperDeps): Worker {
  return {
    name: 'retention-sweeper',
    run(signal) {
      const sweepAll = async () => {
        while (!signal.aborted && (await sweepExports(deps, signal)));
      };
      const onFailed = (error: unknown) => deps.log.warn('exports.not_tended', { error });
      return runRounds(sweepAll, { restMs: ROUND_MS, onFailed }, signal);
    },
  };
}
