/**
 * How long a claim lasts without renewal, by the control store's clock. Longer than a chunk's statement may take, so
 * that a claim is never lost to one slow statement; a dead worker's chunk is taken over after this.
 */
export const LEASE_SECONDS = 15;

/** Also bounds how long a cancel goes unnoticed by who begins nothing new. */
export const RENEWAL_MS = 1_000;
