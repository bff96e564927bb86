/**
 * How long a claim of an assembly lasts without renewal, by the control store's clock: longer than a pause of the
 * process or a failover of the store, short enough that a dead writer's work is taken over within seconds.
 */
export const LEASE_SECONDS = 10;

/** Also bounds how long an assembly goes on after its export was cancelled. */
export const RENEWAL_MS = 1_000;
