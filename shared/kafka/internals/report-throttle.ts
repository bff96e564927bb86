import { createRequire } from 'node:module';
import type { Log } from '../../runtime/log.ts';

const require = createRequire(import.meta.url);

const REQUEST_QUEUE = 'kafkajs/src/network/requestQueue/index.js';

/** In kafkajs's log, at level WARN: a broker asks this connection to wait. */
export const THROTTLED = 'A quota is used up';

/** At most one line a client in this time. */
const REPORT_INTERVAL_MS = 60_000;
/** Brokers smooth out bursts by waits of milliseconds, of which nobody needs to hear. */
const MIN_REPORTED_MS = 1_000;

/** kafkajs's queue of one connection, as far as quotas go. */
interface RequestQueue {
  readonly broker: string;
  readonly clientId: string;
  readonly logger: { warn(message: string, extra: Throttle): void };
  maybeThrottle(throttleMs: number | null): void;
}

export interface Throttle {
  readonly broker: string;
  readonly clientId: string;
  readonly throttleMs: number;
}

let isDone = false;

/** Lets waits for a quota be seen: kafkajs obeys them, and says so at level DEBUG only. Safe to call again. */
export function reportThrottles(): void {
  if (isDone) return;
  isDone = true;
  const { prototype } = require(REQUEST_QUEUE) as { readonly prototype: RequestQueue };
  const { maybeThrottle } = prototype;
  prototype.maybeThrottle = function report(throttleMs) {
    maybeThrottle.call(this, throttleMs);
    const { broker, clientId, logger } = this;
    if ((throttleMs ?? 0) > 0) logger.warn(THROTTLED, { broker, clientId, throttleMs: throttleMs ?? 0 });
  };
}

/** Sums the waits of a client up, and says them once a minute. */
export function createThrottleReport(
  log: Pick<Log, 'warn'>,
  now: () => number,
): (throttle: Throttle) => void {
  let waitMs = 0;
  let reportedAtMs = Number.NEGATIVE_INFINITY;
  return ({ broker, clientId, throttleMs }) => {
    waitMs += throttleMs;
    if (waitMs < MIN_REPORTED_MS || now() - reportedAtMs < REPORT_INTERVAL_MS) return;
    log.warn('kafka.throttled', {
      broker,
      clientId,
      waitMs,
      effect: 'a quota of Kafka slows this process down; nothing is lost',
      remedy:
        'raise producer_byte_rate, consumer_byte_rate or request_percentage of this client ID or its user',
    });
    waitMs = 0;
    reportedAtMs = now();
  };
}
