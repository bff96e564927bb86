/**
 * How long a claim of an export, or of one of its chunks, lasts without renewal, by the control store's clock. Long
 * enough for a pause of the process or a failover of the store, and short enough that the work of a dead process is
 * taken over within seconds.
 */
export const EXPORT_LEASE_SECONDS = 10;

/**
 * The same for a bulk job's list or one of its chunks. Longer than a chunk's statement may take, so that one slow
 * statement never loses a claim.
 */
export const BULK_LEASE_SECONDS = 15;
