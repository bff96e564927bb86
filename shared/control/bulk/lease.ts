/**
 * How long a claim lasts without renewal, by the control store's clock. Longer than a chunk's statement may take, so
 * that a claim is never lost to one slow statement; a dead worker's chunk is taken over after this.
 */
export const LEASE_SECONDS = 15;
