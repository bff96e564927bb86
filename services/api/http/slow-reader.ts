import type { ServerResponse } from 'node:http';

/** What a client has to take of a file that is sent to it. */
export interface ReaderLimits {
  readonly leastBytesPerSecond: number;
  /** Over which it is measured. Only time in which the client is waited for counts. */
  readonly windowMs: number;
  readonly checkEveryMs: number;
}

/** A modem's pace. Slower ones keep a file, a connection and an account's place for nothing. */
export const READER_LIMITS: ReaderLimits = {
  leastBytesPerSecond: 4_096,
  windowMs: 30_000,
  checkEveryMs: 5_000,
};

/** Ends a response whose client stands still or drips, so that what it holds is free for others. A broken download can be resumed. */
export function dropSlowReader(
  response: ServerResponse,
  { leastBytesPerSecond, windowMs, checkEveryMs }: ReaderLimits,
): void {
  const { socket } = response;
  if (socket === null) return;
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
