/**
 * What can go wrong with an export, as facts. `judge-failure.ts` decides what follows from each; nothing branches on
 * message texts. Messages of those that fail an export are read by the customer, and say what to do.
 */

/** A connection to the source could not be made or has broken, and with it whatever snapshot it held. */
export class SourceSessionLostError extends Error {
  override readonly name = 'SourceSessionLostError';

  constructor(session: string, options?: ErrorOptions) {
    super(`the ${session} session on the source is lost`, options);
  }
}

/** The snapshot's holder is gone, so that nobody can read under it any longer. */
export class SnapshotGoneError extends Error {
  override readonly name = 'SnapshotGoneError';

  constructor(snapshotName: string, options?: ErrorOptions) {
    super(`the snapshot ${snapshotName} is no longer held`, options);
  }
}

/** Another session waits for a table that we keep locked, or were about to: the product comes first. */
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

/** This process has been told to end. */
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

/** Trying again would end the same, or must not be done unasked: the export fails with this code and text. */
export class ExportFailedError extends Error {
  override readonly name = 'ExportFailedError';
  readonly code: FailureCode;

  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
