import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** Clocks of two machines may differ by this much without anybody noticing. */
const MAX_AHEAD_SECONDS = 60;

/**
 * Waits until the moment is past by the source's clock, which is the one that commits are dated by: a snapshot taken then is
 * later than the moment.
 *
 * @throws ExportFailedError when that would take long
 */
export async function awaitAsOf(
  session: SourceSession,
  asOf: string,
  pause: () => Promise<void>,
): Promise<void> {
  for (;;) {
    const { rows } = await session.query(
      'select extract(epoch from $1::timestamptz - clock_timestamp())::text as seconds',
      [asOf],
    );
    const aheadSeconds = Number(rows[0]?.seconds);
    if (aheadSeconds < 0) return;
    if (aheadSeconds > MAX_AHEAD_SECONDS) {
      throw new ExportFailedError(
        'invalid_request',
        `The time ${asOf} is ${Math.round(aheadSeconds)} s ahead of the source's clock: check both machines' clocks.`,
      );
    }
    await pause();
  }
}
