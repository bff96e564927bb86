import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { RecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { CouldNotTellError } from './verify-api.ts';

export interface RecordedDeps {
  /** The control store. */
  readonly control: Queryable;
  readonly recordedChanges: RecordedChanges;
  /** A feed that does not move for so long does not run. */
  readonly standstillMs: number;
  readonly signal: AbortSignal;
}

const POLL_MS = 200;

/**
 * Waits until every change that committed before this place in the WAL is in the event log: first until capture has
 * passed it, then until everything that was in the changes topic at that moment is recorded.
 *
 * @throws CouldNotTellError when the feed stands still
 */
export async function awaitRecorded(lsn: Lsn, deps: RecordedDeps): Promise<void> {
  const { control, recordedChanges } = deps;
  await whileMoving(deps, 'the feed has not passed', 'capture', async () => {
    const passed = await readPassedLsn(control);
    return passed !== undefined && passed >= lsn ? undefined : formatLsn(passed ?? 0n);
  });
  const end = await recordedChanges.end();
  await whileMoving(deps, 'not everything is recorded up to', 'dispatcher', async () => {
    const missing = await recordedChanges.missing(end);
    return missing.length === 0 ? undefined : missing.join();
  });

  async function whileMoving(
    { standstillMs, signal }: RecordedDeps,
    what: string,
    service: string,
    look: () => Promise<string | undefined>,
  ): Promise<void> {
    let seen = '';
    let movedAtMs = Date.now();
    for (let found = await look(); found !== undefined; found = await look()) {
      if (found !== seen) {
        seen = found;
        movedAtMs = Date.now();
      }
      if (Date.now() - movedAtMs > standstillMs) {
        throw new CouldNotTellError(
          `${what} ${formatLsn(lsn)}, and stands still at ${seen}: check that ${service} runs, or wait longer with --wait`,
        );
      }
      await sleep(POLL_MS, signal);
      signal.throwIfAborted();
    }
  }
}

async function readPassedLsn(control: Queryable): Promise<Lsn | undefined> {
  const { rows } = await control.query<{ lsn: string }>(
    'select passed_lsn::text as lsn from tandem.feed_state',
  );
  return rows[0] === undefined ? undefined : parseLsn(rows[0].lsn);
}
