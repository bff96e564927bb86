const MIN_POLL_MS = 20;
/** While it waits, the holder looks at least this often for what happened elsewhere, and at once when something happens here. */
export const MAX_POLL_MS = 150;
/** Of the time waited so far, which bounds by how much looking late makes it longer. */
const POLL_SHARE = 0.1;

/** How long to wait before the next look at what happens elsewhere, after waiting for so long. */
export function pollIntervalMs(waitedMs: number): number {
  return Math.min(MAX_POLL_MS, Math.max(MIN_POLL_MS, waitedMs * POLL_SHARE));
}
