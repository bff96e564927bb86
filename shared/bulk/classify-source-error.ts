import pg from 'pg';
import { classifySqlState, type TransientKind } from '../runtime/transient.ts';

/**
 * What a failed statement means for its items. `reject`: the database refuses the change of one item; `too_slow`: fewer items may
 * finish in time; `wait`: a transient error; `stop`: the table, or the right to change it, has changed. The last two are a guess
 * from the code: a function of the product may raise any code for a single row.
 */
export type SourceErrorClass = 'reject' | 'too_slow' | 'wait' | 'stop';

/** Data, constraint and PL/pgSQL errors: the row, or a trigger of the product, refuses the change. */
const REJECTED = /^(22|23|27|44|P0)/;

/** Every SQLSTATE class of PostgreSQL; any other comes from the product's functions, and is about the record. */
const CLASSES_OF_POSTGRES: ReadonlySet<string> = new Set(
  '00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX'.split(
    ' ',
  ),
);

/** The session or an object is in a state that does not allow the statement, such as a read-only server. */
const WRONG_STATE = /^(25|55)/;

/** Connections, resources, shutdowns, conflicts between transactions, and a table that is locked for a migration. */
const OUTAGES: ReadonlySet<TransientKind | undefined> = new Set([
  'connection',
  'conflict',
  'resources',
  'shutdown',
  'lock',
] as const);

const STATEMENT_TIMED_OUT = '57014';

export function classifySourceError(error: unknown): SourceErrorClass {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return 'wait';
  if (error.code === STATEMENT_TIMED_OUT) return 'too_slow';
  if (REJECTED.test(error.code) || isOfProduct(error.code)) return 'reject';
  return isOutage(error) || WRONG_STATE.test(error.code) ? 'wait' : 'stop';
}

function isOfProduct(code: string): boolean {
  return !CLASSES_OF_POSTGRES.has(code.slice(0, 2));
}

/** Whether PL/pgSQL's `RAISE` threw it, with whatever code: an error of the product, never of PostgreSQL. */
export function isRaised(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.routine === 'exec_stmt_raise';
}

/** Whether the state of the database, or another transaction, caused the error: the same statement may pass later. */
export function isOutage(error: unknown): boolean {
  return error instanceof pg.DatabaseError && OUTAGES.has(classifySqlState(error.code));
}

/** Another transaction is in the way of this one. */
const IN_THE_WAY = /^(40|55)/;

/** The reason for the customer: a trigger's message as it is, otherwise only the rule that was violated. */
export function describeRejection(error: unknown): { code: string; message: string } {
  if (!(error instanceof pg.DatabaseError)) {
    return { code: 'rejected', message: 'The database did not change the record.' };
  }
  const { code = '' } = error;
  if (code === 'P0001' || isOfProduct(code) || isRaised(error)) {
    return { code: 'rejected', message: error.message.slice(0, MAX_MESSAGE) };
  }
  if (code === STATEMENT_TIMED_OUT) {
    return { code: 'timeout', message: 'The database takes too long to change the record.' };
  }
  if (code.startsWith('23')) {
    const rule = error.constraint === undefined ? '' : ` ${error.constraint}`;
    return { code: 'constraint_violation', message: `The change violates the constraint${rule} (${code}).` };
  }
  if (IN_THE_WAY.test(code)) {
    return { code: 'conflict', message: `Another transaction blocked the change (${code}).` };
  }
  return { code: 'rejected', message: `The database refuses the change (${code}).` };
}

const MAX_MESSAGE = 500;
