const MIN_LOOK_MS = 20;
/** While it waits, the holder looks at least this often for what happened elsewhere, and at once when something happens here. */
export const MAX_LOOK_MS = 150;
/** Of the time waited so far, which bounds by how much looking late makes it longer. */
const SHARE = 0.1;

/** How long to wait before the next look at what happens elsewhere, after waiting for so long. */
export function lookIntervalMs(waitedMs: number): number {
  return Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, waitedMs * SHARE));
}
