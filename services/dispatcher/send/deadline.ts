/** A timer this late says that the process stood still, not that the receiver was slow. */
const STANDSTILL_MS = 50;

/** What stops a deadline. */
export type StopDeadline = () => void;

/**
 * Calls `onOver` when `timeoutMs` have passed, but only after what came before that was seen to: on a busy machine a reset
 * lies unread for a while, and the event loop turns to timers first. Time in which this process stood still does not
 * count, once and up to `timeoutMs`, because nobody could have been seen to answer in it.
 */
export function startDeadline(timeoutMs: number, onOver: () => void): StopDeadline {
  let immediate: NodeJS.Immediate | undefined;
  let timer: NodeJS.Timeout;
  const over = () => {
    // Between timers and immediates the event loop reads what the network has for it.
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
