/**
 * How long a claim of an assembly lasts without renewal, by the control store's clock: longer than a pause of the
 * process or a failover of the store, short enough that a dead writer's work is taken over within seconds.
 */
export const LEASE_SECONDS = 10;
