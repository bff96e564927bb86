import { findOpenTransactions } from '../../../shared/catalog/open-transactions.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** A finished transaction is visible within milliseconds, so a longer wait is for an open one. */
const REPORT_AFTER_MS = 10_000;
const REPORT_AGAIN_MS = 60_000;

export interface SettleWatch {
  /** @throws ExportFailedError when the feed has not settled for too long */
  check(): Promise<void>;
}

export interface SettleWatchDeps {
  readonly exportId: string;
  readonly timeoutMs: number;
  readonly source: Pick<SourceSession, 'query'>;
  readonly log: Log;
  readonly now?: () => number;
}

/**
 * Reports the transactions that an export waits for when the feed moves and does not settle: those of the product that
 * were open before it. They may stay open for days, so the wait ends after `timeoutMs`.
 */
export function createSettleWatch({
  exportId,
  timeoutMs,
  source,
  log,
  now = Date.now,
}: SettleWatchDeps): SettleWatch {
  const sinceMs = now();
  let reportAtMs = sinceMs + REPORT_AFTER_MS;
  return {
    async check() {
      const waitedMs = now() - sinceMs;
      if (now() >= reportAtMs || waitedMs >= timeoutMs) {
        reportAtMs = now() + REPORT_AGAIN_MS;
        const transactions = await findOpenTransactions((sql) => source.query(sql, []));
        log.warn('export.waits_for_transactions', {
          exportId,
          waitedMs,
          transactions,
          remedy:
            'end forgotten ones: pg_terminate_backend(pid), ROLLBACK PREPARED; transactions of other roles are shown only with pg_monitor',
        });
      }
      if (waitedMs < timeoutMs) return;
      throw new ExportFailedError(
        'feed_not_settled',
        `Transactions in the source have been open since before the export for ${Math.round(waitedMs / 1_000)} s, and the first ` +
          'export of an account waits for them. Start it again once they have ended; the log of the extractor names them.',
      );
    },
  };
}
