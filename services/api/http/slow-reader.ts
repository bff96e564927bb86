import type { ServerResponse } from 'node:http';

/** The least rate at which a client must read a file. */
export interface ReaderLimits {
  readonly leastBytesPerSecond: number;
  /** Period of the measurement. Only time spent waiting for the client counts. */
  readonly windowMs: number;
  readonly checkEveryMs: number;
}

/** The rate of a modem. A slower client holds a file, a connection and its account's limit for nothing. */
export const READER_LIMITS: ReaderLimits = {
  leastBytesPerSecond: 4_096,
  windowMs: 30_000,
  checkEveryMs: 5_000,
};

/**
 * Ends a response whose client stops or drips, so that its file and connection are free for others. A broken
 * download can be resumed.
 */
export function dropSlowReader(
  response: ServerResponse,
  { leastBytesPerSecond, windowMs, checkEveryMs }: ReaderLimits,
): void {
  const { socket } = response;
  // The client may have left while the response was prepared; its `close` event is over then.
  if (socket === null || response.closed) return;
  const taken = () => socket.bytesWritten - socket.writableLength;
  let waitedMs = 0;
  let from = taken();
  const timer = setInterval(() => {
    const isWaiting = response.writableNeedDrain || socket.writableLength > 0;
    if (!isWaiting) {
      waitedMs = 0;
      from = taken();
      return;
    }
    waitedMs += checkEveryMs;
    if (waitedMs < windowMs) return;
    if (taken() - from < (leastBytesPerSecond * waitedMs) / 1_000) socket.destroy();
    waitedMs = 0;
    from = taken();
  }, checkEveryMs);
  response.once('close', () => clearInterval(timer));
}
