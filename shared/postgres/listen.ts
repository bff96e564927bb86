import type pg from 'pg';
import type { Secret } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';
import { backoffMs } from '../runtime/retry.ts';
import { sleep } from '../runtime/sleep.ts';
import type { Worker } from '../runtime/worker.ts';
import { Session } from './session.ts';

/** Interval of checks that detect a silently broken connection. */
const CHECK_MS = 10_000;

export interface ListenOptions {
  readonly databaseUrl: Secret;
  readonly applicationName: string;
  readonly channels: readonly string[];
  readonly onNotification: (channel: string, payload: string) => void;
  /** Called when it starts to listen. Earlier notifications are lost, so check everything. */
  readonly onListening: () => void;
  readonly checkMs?: number;
  readonly log: Log;
}

export interface Listener extends Worker {
  /** False while notifications may be lost, so that callers poll more often. */
  isListening(): boolean;
}

/**
 * Listens on a connection of its own for notifications of other processes. A notification is only a hint to look. After
 * the connection was down, everything is checked, which finds what was missed.
 */
export function createListener(options: ListenOptions): Listener {
  const { databaseUrl, applicationName, channels, onNotification, onListening, log } = options;
  const { checkMs = CHECK_MS } = options;
  let isUp = false;

  const listen = async (signal: AbortSignal): Promise<void> => {
    const client = new Session({
      connectionString: databaseUrl.reveal(),
      application_name: applicationName,
      keepAlive: true,
      connectionTimeoutMillis: checkMs,
      query_timeout: checkMs,
    });
    const ended = Promise.withResolvers<void>();
    const end = () => ended.resolve();
    client.on('end', end);
    signal.addEventListener('abort', end, { once: true });
    client.on('notification', ({ channel, payload = '' }: pg.Notification) =>
      onNotification(channel, payload),
    );
    try {
      await client.connect();
      for (const channel of channels) await client.query(`listen ${channel}`);
      isUp = true;
      onListening();
      const check = setInterval(() => {
        client.query('select 1').catch(() => client.end().catch(() => undefined));
      }, checkMs);
      await ended.promise.finally(() => clearInterval(check));
    } finally {
      signal.removeEventListener('abort', end);
      isUp = false;
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
