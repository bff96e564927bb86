/** A timer that is this late shows that the process was blocked, not that the receiver was slow. */
const STANDSTILL_MS = 50;

/** Cancels a deadline. */
export type StopDeadline = () => void;

/**
 * Calls `onOver` once `timeoutMs` have passed and everything that arrived before was handled: the event loop runs
 * timers first, so on a busy machine a received reset may still be unread. If this process was blocked, the deadline is
 * extended once by that time, up to `timeoutMs`, because no response could have been seen then.
 */
export function startDeadline(timeoutMs: number, onOver: () => void): StopDeadline {
  let immediate: NodeJS.Immediate | undefined;
  let timer: NodeJS.Timeout;
  const over = () => {
    // Between timers and immediates the event loop reads from the network.
    immediate = setImmediate(onOver);
  };
  const dueMs = performance.now() + timeoutMs;
  timer = setTimeout(() => {
    const lateMs = performance.now() - dueMs;
    if (lateMs < STANDSTILL_MS) over();
    else timer = setTimeout(over, Math.min(lateMs, timeoutMs));
  }, timeoutMs);
  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}
