import type { Pool } from 'pg';
import {
  claimAccountEvent,
  listListeners,
  noteScheduled,
  passOverUnheard,
  scheduleAccountEvent,
} from '../../../shared/control/webhooks/account-events.ts';
import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';

/**
 * Poll interval. The trigger that writes an event also notifies, so this only bounds the delay after a lost
 * notification.
 */
const ROUND_MS = 1_000;

export interface AccountEvents extends Worker {
  /** Checks for new account events soon. */
  look(): void;
}

/**
 * Delivers events about an account itself, such as a finished job, to the account's endpoints. Each event is scheduled
 * for retry at every endpoint that subscribes to its type, as if a first attempt had failed. From there it is retried
 * and given up like any other event, and the endpoint's cursor stays where it is. Such events are rare, so one row per
 * endpoint is cheap.
 */
export function createAccountEvents(pool: Pool, log: Log): AccountEvents {
  const notifier = createNotifier();

  /** @returns whether there was an event to schedule */
  const scheduleOne = (): Promise<boolean> =>
    inTransaction(pool, async (db) => {
      const event = await claimAccountEvent(db);
      if (event === undefined) return false;
      const listeners = (await listListeners(db, event)).filter(({ events }) =>
        isTypeWanted(events, event.type, undefined),
      );
      // One transaction per endpoint: others lock endpoints' rows in another order, so two locks at once could
      // deadlock. After a crash the whole event is scheduled again under the same ID.
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
          while (!signal.aborted && (await passOverUnheard(pool)) && (await scheduleOne()));
        } catch (error) {
          log.warn('account_events.not_parked', { error });
        }
        await notifier.wait(ROUND_MS, signal);
      }
    },
  };
}
