import type { Pool } from 'pg';
import { findEndedExports } from '../../../shared/control/exports/end-export.ts';
import { exportFolder, PARTS_FOLDER, partsFolder } from '../../../shared/protocol/storage-paths.ts';
import { eachAlone } from '../../../shared/runtime/each-alone.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Notifier } from '../../../shared/runtime/notifier.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { Storage } from '../../../shared/storage/storage.ts';
import type { Scratch } from './scratch.ts';

const SWEEP_EVERY_MS = 2_000;

/** Storage is away then, and each further attempt would only take its time. */
const MAX_FAILURES_IN_ROW = 3;

export interface StagingSweeperDeps {
  readonly storage: Storage;
  readonly scratch: Scratch;
  readonly pool: Pool;
  /** Notified when an export ends in this process. */
  readonly notifier: Notifier;
  readonly log: Log;
}

/**
 * Removes the staged parts of exports that have ended in any process, and what crashed writers left of them, in storage and
 * on the local disk.
 *
 * It lists storage instead of keeping a list of work, so that a crash forgets nothing. The parts folder is deleted last,
 * because the sweep starts from it.
 */
export function createStagingSweeper({ storage, scratch, pool, notifier, log }: StagingSweeperDeps): Worker {
  const onFailure = ({ exportId }: { readonly exportId: string }, error: unknown) =>
    log.warn('parts.not_removed', { exportId, error });

  async function sweep(signal: AbortSignal): Promise<void> {
    const staged = await storage.listNames(PARTS_FOLDER);
    if (staged.length === 0) return;
    await eachAlone(
      await findEndedExports(pool, staged),
      { signal, maxFailuresInRow: MAX_FAILURES_IN_ROW, onFailure },
      async ({ exportId, isPublished }) => {
        if (!isPublished) await storage.deleteFolder(exportFolder(exportId));
        await storage.deleteFolder(partsFolder(exportId));
        log.info('parts.removed', { exportId });
      },
    );
  }

  async function sweepScratch(signal: AbortSignal): Promise<void> {
    const kept = await scratch.listExports();
    if (kept.length === 0) return;
    await eachAlone(await findEndedExports(pool, kept), { signal, onFailure }, ({ exportId }) =>
      scratch.remove(exportId),
    );
  }

  return {
    name: 'staging-sweeper',
    async run(signal) {
      while (!signal.aborted) {
        try {
          await sweep(signal);
          await sweepScratch(signal);
        } catch (error) {
          log.warn('parts.not_removed', { error });
        }
        await notifier.wait(SWEEP_EVERY_MS, signal);
      }
    },
  };
}
