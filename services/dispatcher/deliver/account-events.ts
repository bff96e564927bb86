import type { Pool } from 'pg';
import {
  areAllScheduled,
  claimAccountEvent,
  listListeners,
  noteScheduled,
  scheduleAccountEvent,
} from '../../../shared/control/webhooks/account-events.ts';
import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';

/** The trigger that writes an event notifies; this only bounds how long a lost notification can matter. */
const ROUND_MS = 1_000;

export interface AccountEvents extends Worker {
  /** Something may have happened. */
  look(): void;
}

/**
 * Brings what happened to accounts to their endpoints: an event is scheduled for each that asks for it, as if its first try
 * had failed, and from there on is retried, given up and sent again like any other, while the cursor stands where it
 * is. These are few, so that a row for each endpoint does no harm.
 */
export function createAccountEvents(pool: Pool, log: Log): AccountEvents {
  const notifier = createNotifier();

  /** @returns whether there was one */
  const scheduleOne = (): Promise<boolean> =>
    inTransaction(pool, async (db) => {
      const event = await claimAccountEvent(db);
      if (event === undefined) return false;
      const listeners = (await listListeners(db, event)).filter(({ events }) =>
        isTypeWanted(events, event.type, undefined),
      );
      // Each in a transaction of its own, so that no two endpoints' rows are ever locked at once, which others do in
      // another order. What a crash leaves half done is done again: the same event, by the same ID.
      for (const { id } of listeners) await scheduleAccountEvent(pool, id, event);
      await noteScheduled(db, event);
      log.info('account_event.scheduled', {
        accountId: event.account_id,
        type: event.type,
        subject: event.subject_id,
        endpoints: listeners.length,
      });
      return true;
    });

  return {
    name: 'account-events',
    look: () => notifier.notify(),
    async run(signal) {
      while (!signal.aborted) {
        try {
          while (!signal.aborted && !(await areAllScheduled(pool)) && (await scheduleOne()));
        } catch (error) {
          log.warn('account_events.not_parked', { error });
        }
        await notifier.wait(ROUND_MS, signal);
      }
    },
  };
}
