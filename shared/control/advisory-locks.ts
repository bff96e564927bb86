/**
 * The keys of all advisory locks in the control store. PostgreSQL has one key space per database: two uses of one
 * number would make unrelated work wait.
 */
export const ADVISORY_LOCKS = {
  /** One process migrates at a time. */
  migrate: 7_264_113,
  /** Claims of exports count an account's running exports, so only one claim runs at a time. */
  claimExport: 7_264_114,
  /** Starts of bulk jobs count an account's running jobs, so only one runs at a time. */
  startBulkJobs: 7_264_115,
  /** One relay sends the outbox, in its order. */
  relayOutbox: 7_264_116,
  /** One process at a time creates and drops partitions of the event log. */
  eventPartitions: 7_264_117,
  /** Cuts of as-of exports, with a second key for the account. */
  cutOfAccount: 7_264_118,
} as const;
