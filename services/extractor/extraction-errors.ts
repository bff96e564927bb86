import pg from 'pg';
import { CatalogBehindError } from '../../shared/catalog/catalog-behind-error.ts';
import type { Ending } from '../../shared/control/exports/export-run.ts';
import { LeaseLostError } from '../../shared/runtime/lease-renewer.ts';
import type { Log } from '../../shared/runtime/log.ts';
import {
  causesOf,
  classifySqlState,
  classifyTransient,
  isServerAway,
  type TransientKind,
} from '../../shared/runtime/transient.ts';
import { UnencodableRowError } from '../../shared/values/row-body.ts';

/**
 * What can go wrong with an export, as facts. `classifyExtractionError` decides what follows from each; nothing branches on
 * message texts. Messages of those that fail an export are read by the customer, and say what to do.
 */

/** A connection to the source failed or broke, and its snapshot is lost. */
export class SourceSessionLostError extends Error {
  override readonly name: string = 'SourceSessionLostError';

  constructor(session: string, options?: ErrorOptions) {
    super(`the ${session} session on the source is lost`, options);
  }
}

/** No session could be opened, or only one on another server. No work was begun. */
export class SourceAwayError extends SourceSessionLostError {
  override readonly name = 'SourceAwayError';
}

/** Errors of a statement with which the server ends its session. */
const SESSION_ENDED = /^(08|57P|25P0[34])/;

/** Turns an error of a statement into what `classifyExtractionError` knows: a refusal, or a lost session. */
export function toSourceError(session: string, cause: unknown): pg.DatabaseError | SourceSessionLostError {
  if (cause instanceof pg.DatabaseError && !SESSION_ENDED.test(cause.code ?? '')) return cause;
  return new SourceSessionLostError(session, { cause });
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

/**
 * Capture does not write the resource yet, or with other columns or fields than the export: one of the two is about to be
 * restarted.
 */
export class CatalogMismatchError extends Error {
  override readonly name = 'CatalogMismatchError';
  readonly resource: string;

  constructor(resource: string) {
    super(`capture does not have ${resource} yet, or with other columns or fields than the extractor`);
    this.resource = resource;
  }
}

/**
 * A chunked export can't be made exact from its events and is read again under one snapshot. The message tells the
 * customer why.
 */
export class SingleSnapshotNeededError extends Error {
  override readonly name = 'SingleSnapshotNeededError';
}

/** Shown to the customer when a chunked export is read again. */
export const TABLE_ALTERED = 'A table was altered while its rows were read.';

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
  | 'table_unfit'
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

/**
 * Why work was interrupted that is tried again:
 *
 * - `outage`: a server is away. The work cannot be the cause, so there is no limit.
 * - `setback`: the source ended or refused work that may succeed later. The work may be the cause, for example a read
 *   that takes too long, or a row at which the server crashes. So there is a limit.
 * - `unforeseen`: nothing explains it.
 */
export type Interruption = 'outage' | 'setback' | 'unforeseen';

/**
 * What follows from an error: `fail` ends the export, `retry` tries again later, `let-go` releases the work without
 * counting an attempt, `abandon` leaves work that another process has taken over.
 */
export type FailureAction =
  | { readonly kind: 'fail'; readonly code: FailureCode; readonly message: string }
  | { readonly kind: 'retry'; readonly after: Interruption }
  /** Another session needs the table, or a deployment is under way: retried a few times, then failed with `failure`. */
  | { readonly kind: 'give-way'; readonly failure: Extract<FailureAction, { kind: 'fail' }> }
  | { readonly kind: 'let-go' }
  | { readonly kind: 'abandon' };

/**
 * Outlasts a migration of several steps. A longer migration fails an export under one snapshot, which would otherwise
 * wait for hours.
 */
export const MAX_GIVE_WAYS = 3;

/**
 * Setbacks in a row that fail an export. The waits between its runs add up to 13 minutes. That outlasts a server that
 * restarts again and again, and limits the harm of an export that crashes the source's server.
 */
export const MAX_SETBACKS = 10;

/** @param what was ended, in the plural */
export function setbacksExhausted(what: string): Extract<FailureAction, { kind: 'fail' }> {
  return {
    kind: 'fail',
    code: 'attempts_exhausted',
    message:
      `The source ended ${MAX_SETBACKS} ${what} in a row. Its server may have crashed, or something ends long ` +
      'sessions: the operator finds the reason in the logs of the source and of the extractors.',
  };
}

const TABLE_LOCKED: Extract<FailureAction, { kind: 'fail' }> = {
  kind: 'fail',
  code: 'table_locked',
  message:
    'Another session needs a table, probably for an ALTER TABLE, and an export must not block it: ' +
    'start the export again once it is done.',
};

function catalogBehind({ resource }: CatalogBehindError): Extract<FailureAction, { kind: 'fail' }> {
  const message = `The table of ${resource} no longer has a column that the catalog names: the operator must adapt the catalog.`;
  return { kind: 'fail', code: 'table_changed', message };
}

function catalogsDiffer({ resource }: CatalogMismatchError): Extract<FailureAction, { kind: 'fail' }> {
  const message =
    `Capture does not have ${resource}, or with other columns or fields than the extractor: the operator must restart ` +
    'both with the same catalog. Start the export again afterwards.';
  return { kind: 'fail', code: 'feed_mismatch', message };
}

const retryAfter = (after: Interruption): FailureAction => ({ kind: 'retry', after });

/** @param what the resources that were read, for the message of a failure */
export function classifyExtractionError(error: unknown, what: readonly string[] = []): FailureAction {
  if (error instanceof LeaseLostError) return classifyLostLease(error);
  if (error instanceof ExportCancelledError || error instanceof StoppingError) return { kind: 'let-go' };
  if (error instanceof TableWantedError) return { kind: 'give-way', failure: TABLE_LOCKED };
  if (error instanceof CatalogBehindError) return { kind: 'give-way', failure: catalogBehind(error) };
  if (error instanceof CatalogMismatchError) return { kind: 'give-way', failure: catalogsDiffer(error) };
  if (error instanceof ExportFailedError) return fail(error.code, error.message);
  // A reader whose holder is gone: the holder reports the cause.
  if (error instanceof SourceAwayError || error instanceof SnapshotGoneError) return retryAfter('outage');
  if (error instanceof SourceSessionLostError) return retryAfter('setback');
  if (error instanceof UnencodableRowError) {
    return fail(
      'row_unencodable',
      `A value in the column ${error.column} of ${error.resource} cannot be written. ` +
        'Correct the value, or hide the column in the catalog.',
    );
  }
  if (error instanceof pg.DatabaseError) return classifyBySqlState(error.code ?? '', what);
  return classifyByErrorCode(error) ?? retryAfter(interruptionOf(classifyTransient(error)));
}

/** A lease that the control store could not renew is an outage. After any other loss, another process has the work. */
function classifyLostLease({ cause }: LeaseLostError): FailureAction {
  return isServerAway(classifyTransient(cause)) ? retryAfter('outage') : { kind: 'abandon' };
}

function interruptionOf(transient: TransientKind | undefined): Interruption {
  if (transient === undefined) return 'unforeseen';
  return isServerAway(transient) ? 'outage' : 'setback';
}

function fail(code: FailureCode, message: string): FailureAction {
  return { kind: 'fail', code, message };
}

/** See "PostgreSQL Error Codes" in its manual; the first two characters are the class. */
function classifyBySqlState(sqlState: string, what: readonly string[]): FailureAction {
  switch (sqlState) {
    case '42P01':
    case '42703':
    case '3F000':
    case '0A000':
      return fail(
        'table_changed',
        'A table was altered during the export. Start the export again. Services may need a restart to see the new table.',
      );
    case '22021':
    case '22P05':
      return fail(
        'row_unencodable',
        `${what.length === 0 ? 'A table' : what.join(', ')} holds text that is not UTF-8 (the database's encoding lets it in), or the ` +
          'account’s source ID has characters that the database does not support. Correct the values; with encoding SQL_ASCII, find them: ' +
          "SELECT … WHERE convert_from(convert_to(<column>, 'SQL_ASCII'), 'UTF8') IS NULL fails at the first.",
      );
    case '42501':
      return fail(
        'permission_denied',
        'The source refuses to read its tables: grant SELECT to the role in DATABASE_URL.',
      );
    case '25P02':
      // A snapshot shared by small exports: the statement of another export has failed, and reports the cause there.
      return retryAfter('setback');
    case 'XX001':
    case 'XX002':
      return fail(
        'source_corrupted',
        'The source reports corrupted data. Nothing was published; check the database.',
      );
  }
  if (sqlState.startsWith('22')) {
    return fail(
      'source_refused',
      'The source refuses a value of the request, for example the account’s source ID.',
    );
  }
  return retryAfter(interruptionOf(classifySqlState(sqlState)));
}

const REGISTRY_INCOMPATIBLE = 'ConfluentSchemaRegistryCompatibilityError';

const TOO_LARGE_TYPES = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

/** Errors of libraries without exported classes, by their codes, outermost first. */
function classifyByErrorCode(error: unknown): FailureAction | undefined {
  for (const link of causesOf(error)) {
    const { type, status } = link as { type?: unknown; status?: unknown };
    if (typeof type === 'string' && TOO_LARGE_TYPES.has(type)) {
      return fail(
        'row_too_large',
        'A record is larger than Kafka accepts: raise max.message.bytes of the rows topic, or hide its largest column.',
      );
    }
    if ((link.name === 'ResponseError' && status === 409) || link.name === REGISTRY_INCOMPATIBLE) {
      return fail(
        'schema_incompatible',
        'The table’s columns no longer fit the schema in the registry: delete the subject of the rows topic, ' +
          'or set its compatibility, and start the export again.',
      );
    }
  }
  return undefined;
}

const EVENTS = {
  export: { lost: 'export.run_lost', gave_way: 'export.gave_way', let_go: 'export.let_go' },
  chunk: { lost: 'chunk.attempt_lost', gave_way: 'chunk.gave_way', let_go: 'chunk.let_go' },
} as const;

/** Logs how a run of an export, or an attempt at a chunk, ended. Only an unexplained ending is an error. */
export function reportEnding(
  log: Log,
  what: keyof typeof EVENTS,
  ending: Ending,
  fields: Readonly<Record<string, unknown>>,
): void {
  const report = ending === 'unexplained' ? log.error : ending === 'let_go' ? log.info : log.warn;
  const kind = ending === 'gave_way' || ending === 'let_go' ? ending : 'lost';
  report(EVENTS[what][kind], { ...fields, ending });
}
