import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const REQUEST_QUEUE = 'kafkajs/src/network/requestQueue/index.js';

/** Between two looks whether a request has had no response for too long, which is after tens of seconds. */
const TIMEOUT_CHECK_MS = 1_000;

/** As kafkajs has it, for requests that wait for others to be answered. */
const PENDING_CHECK_MS = 10;

/** kafkajs's queue of one connection, as far as its timers go. */
export interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly inflight: ReadonlyMap<number, SentRequest>;
  readonly throttledUntil: number;
  readonly requestTimeout: number;
  readonly enforceRequestTimeout: boolean;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  requestTimeoutIntervalId?: NodeJS.Timeout;
  isConnected(): boolean;
  checkPendingRequests(): void;
  destroy(): void;
  scheduleCheckPendingRequests(): void;
  scheduleRequestTimeoutCheck(): void;
}

interface SentRequest {
  readonly sentAt: number;
  readonly requestTimeout: number;
  timeoutRequest(): void;
}

let isDone = false;

/**
 * Lets an idle connection rest. After its first response kafkajs looks for requests that wait a thousand times a second, on
 * every connection, whether there are any or not; and ten times a second for requests that are overdue. Safe to call again.
 */
export function quietTimers(): void {
  if (isDone) return;
  isDone = true;
  const { prototype } = require(REQUEST_QUEUE) as { readonly prototype: RequestQueue };
  Object.assign(prototype, { scheduleCheckPendingRequests, scheduleRequestTimeoutCheck });
}

/** What waits is looked at again when a response comes, too; each request that begins to wait calls this. */
function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.pending.length === 0 || this.throttleCheckTimeoutId !== null) return;
  const untilMs = this.throttledUntil - Date.now();
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    untilMs > 0 ? untilMs : PENDING_CHECK_MS,
  );
}

function scheduleRequestTimeoutCheck(this: RequestQueue): void {
  if (!this.enforceRequestTimeout) return;
  this.destroy();
  this.requestTimeoutIntervalId = setInterval(
    () => {
      for (const request of [...this.inflight.values()]) {
        if (Date.now() - request.sentAt > request.requestTimeout) request.timeoutRequest();
      }
      if (!this.isConnected()) this.destroy();
    },
    Math.min(this.requestTimeout, TIMEOUT_CHECK_MS),
  );
}
