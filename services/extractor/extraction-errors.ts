/**
 * What can go wrong with an export, as facts. `classify-extraction-error.ts` decides what follows from each; nothing branches on
 * message texts. Messages of those that fail an export are read by the customer, and say what to do.
 */

/** A connection to the source failed or broke, and its snapshot is lost. */
export class SourceSessionLostError extends Error {
  override readonly name = 'SourceSessionLostError';

  constructor(session: string, options?: ErrorOptions) {
    super(`the ${session} session on the source is lost`, options);
  }
}

/** The snapshot's holder is gone, so nobody can read under the snapshot any more. */
export class SnapshotGoneError extends Error {
  override readonly name = 'SnapshotGoneError';

  constructor(snapshotName: string, options?: ErrorOptions) {
    super(`the snapshot ${snapshotName} is no longer held`, options);
  }
}

/** Another session waits for a table that the export locks or is about to lock: the product comes first. */
export class TableWantedError extends Error {
  override readonly name = 'TableWantedError';

  constructor(session: string, options?: ErrorOptions) {
    super(`the ${session} session gives way to a statement that waits for its table`, options);
  }
}

/** The export was cancelled by its owner. */
export class ExportCancelledError extends Error {
  override readonly name = 'ExportCancelledError';
}

/** This process is stopping. */
export class StoppingError extends Error {
  override readonly name = 'StoppingError';
}

export type FailureCode =
  | 'source_is_standby'
  | 'table_locked'
  | 'table_changed'
  | 'snapshot_mismatch'
  | 'row_count_mismatch'
  | 'row_unencodable'
  | 'row_too_large'
  | 'schema_incompatible'
  | 'feed_not_running'
  | 'feed_not_settled'
  | 'feed_mismatch'
  | 'feed_reset'
  | 'base_too_old'
  | 'moment_not_covered'
  | 'record_not_known'
  | 'permission_denied'
  | 'source_corrupted'
  | 'source_refused'
  | 'invalid_request'
  | 'export_timeout'
  | 'attempts_exhausted';

/** A retry would not help, or needs a decision: the export fails with this code and message. */
export class ExportFailedError extends Error {
  override readonly name = 'ExportFailedError';
  readonly code: FailureCode;

  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
