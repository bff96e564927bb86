/**
 * How long a claim of an export, or of a chunk of it, lasts without renewal, by the control store's clock. Long enough
 * for a pause of the process or a failover of the store, short enough that work of a dead process is taken over within
 * seconds.
 */
export const EXPORT_LEASE_SECONDS = 10;

/**
 * The same of a bulk job's list, or of a chunk of it. Longer than a chunk's statement may take, so that a claim is never
 * lost to one slow statement; a dead worker's chunk is taken over after this.
 */
export const BULK_LEASE_SECONDS = 15;
