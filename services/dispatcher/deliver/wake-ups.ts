import type pg from 'pg';
import { Session } from '../../../shared/postgres/session.ts';
import { EVENTS_CHANNEL, WEBHOOKS_CHANNEL } from '../../../shared/protocol/names.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';

/** Interval of checks that detect a silently broken connection. */
const CHECK_MS = 10_000;

export interface WakeUpTargets {
  /** Called when events of these accounts were recorded. Undefined means all accounts. */
  readonly onEvents: (accountIds: readonly string[] | undefined) => void;
  /** Called when an endpoint, or what is sent to it, changed. Undefined means all endpoints. */
  readonly onWebhooks: (id: string | undefined) => void;
}

export interface WakeUps extends Worker {
  /** False while notifications may be lost, so that callers poll more often. */
  isListening(): boolean;
}

/**
 * Listens on a connection of its own for notifications of other processes. A notification is only a hint to look. After
 * the connection was down, everything is checked, which finds what was missed.
 */
export function createWakeUps(
  controlUrl: Secret,
  self: string,
  targets: WakeUpTargets,
  log: Log,
  checkMs: number = CHECK_MS,
): WakeUps {
  let isUp = false;

  const onNotification = ({ channel, payload = '' }: pg.Notification) => {
    if (channel === WEBHOOKS_CHANNEL) {
      // The payload of other changes is an ID of their own, or empty. A release of endpoints names its dispatcher.
      if (payload !== self) targets.onWebhooks(payload === '' ? undefined : payload);
      return;
    }
    const [sender, accounts] = payload.split(' ');
    // The recorder of this process has woken the endpoints already.
    if (sender === self) return;
    targets.onEvents(accounts === undefined || accounts === '*' ? undefined : accounts.split(','));
  };

  const listen = async (signal: AbortSignal): Promise<void> => {
    const client = new Session({
      connectionString: controlUrl.reveal(),
      application_name: 'tandem dispatcher wake-ups',
      keepAlive: true,
      connectionTimeoutMillis: checkMs,
      query_timeout: checkMs,
    });
    const ended = Promise.withResolvers<void>();
    const end = () => ended.resolve();
    client.on('end', end);
    signal.addEventListener('abort', end, { once: true });
    client.on('notification', onNotification);
    try {
      await client.connect();
      await client.query(`listen ${EVENTS_CHANNEL}`);
      await client.query(`listen ${WEBHOOKS_CHANNEL}`);
      isUp = true;
      targets.onEvents(undefined);
      targets.onWebhooks(undefined);
      const check = setInterval(() => {
        client.query('select 1').catch(() => client.end().catch(() => undefined));
      }, checkMs);
      await ended.promise.finally(() => clearInterval(check));
    } finally {
      signal.removeEventListener('abort', end);
      isUp = false;
      signal.removeEventListener('abort', end);
      await client.end().catch(() => undefined);
    }
  };

  return {
    name: 'wake-ups',
    isListening: () => isUp,
    async run(signal) {
      for (let failures = 0; !signal.aborted; failures++) {
        const startedAtMs = performance.now();
        try {
          await listen(signal);
        } catch (error) {
          log.warn('wake_ups.lost', { error });
        }
        if (performance.now() - startedAtMs > checkMs) failures = 0;
        if (!signal.aborted) await sleep(backoffMs(failures, { initialMs: 100, maxMs: 5_000 }), signal);
      }
    },
  };
}
