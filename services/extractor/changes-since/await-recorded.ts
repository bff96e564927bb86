import type { RecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import { ExportFailedError } from '../extraction-errors.ts';

export interface RecordingDeps {
  readonly recordedChanges: RecordedChanges;
  /** Recording that stands still for so long is not running. */
  readonly feedTimeoutMs: number;
  /** Waits while the condition holds, keeping the snapshot. */
  readonly waitWhile: (mustWait: () => Promise<boolean>) => Promise<void>;
}

/** Sorting many keys takes longer than the server lets a session be idle that holds a snapshot. */
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
 * Waits until the events of everything that the held snapshot has are in the event log. Call it once the feed has passed the
 * snapshot's seal: their changes are in the topic then, before its end.
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
