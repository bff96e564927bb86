import { createListener, type Listener } from '../../../shared/postgres/listen.ts';
import { EVENTS_CHANNEL, WEBHOOKS_CHANNEL } from '../../../shared/protocol/names.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import type { Log } from '../../../shared/runtime/log.ts';

export interface WakeUpTargets {
  /** Called when events of these accounts were recorded. Undefined means all accounts. */
  readonly onEvents: (accountIds: readonly string[] | undefined) => void;
  /** Called when an endpoint, or what is sent to it, changed. Undefined means all endpoints. */
  readonly onWebhooks: (id: string | undefined) => void;
}

/** Listens for events that other dispatchers recorded, and for changes of endpoints. */
export function createWakeUps(
  controlUrl: Secret,
  self: string,
  targets: WakeUpTargets,
  log: Log,
  checkMs?: number,
): Listener {
  return createListener({
    databaseUrl: controlUrl,
    applicationName: 'tandem dispatcher wake-ups',
    channels: [EVENTS_CHANNEL, WEBHOOKS_CHANNEL],
    onNotification(channel, payload) {
      if (channel === WEBHOOKS_CHANNEL) {
        // The payload of other changes is an ID of their own, or empty. A release of endpoints names its dispatcher.
        if (payload !== self) targets.onWebhooks(payload === '' ? undefined : payload);
        return;
      }
      const [sender, accounts] = payload.split(' ');
      // The recorder of this process has woken the endpoints already.
      if (sender === self) return;
      targets.onEvents(accounts === undefined || accounts === '*' ? undefined : accounts.split(','));
    },
    onListening() {
      targets.onEvents(undefined);
      targets.onWebhooks(undefined);
    },
    log,
    ...(checkMs === undefined ? {} : { checkMs }),
  });
}
