/**
 * The keys of the advisory locks on the control store. PostgreSQL has one space of such keys for a database, so they
 * stand together: two of the same number would make unrelated work wait for each other.
 */
export const ADVISORY_LOCKS = {
  /** One process migrates at a time. */
  migrate: 7_264_113,
  /** Claims of exports count the running ones of an account, so they are one at a time. */
  claimExport: 7_264_114,
  /** Starts of bulk jobs, likewise. */
  startBulkJobs: 7_264_115,
  /** One relay sends the outbox, in its order. */
  relayOutbox: 7_264_116,
  /** Partitions of the event log are made and dropped by one process at a time. */
  eventPartitions: 7_264_117,
  /** Cuts of as-of exports, with a second key for the account. */
  cutOfAccount: 7_264_118,
} as const;
