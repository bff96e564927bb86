/**
 * How long a claim lasts without renewal, by the control store's clock. Long enough for a pause of the process or
 * a failover of the store, short enough that work of a dead process is taken over within seconds.
 */
export const LEASE_SECONDS = 10;
