import pg from 'pg';

/**
 * What a failed statement means for its items. `reject`: the database refuses what one of them would become; `too_slow`: fewer
 * at once may be in time; `wait`: something else is in the way for now; `stop`: the table, or the right to change it, is not what it was.
 */
export type SourceVerdict = 'reject' | 'too_slow' | 'wait' | 'stop';

/** Rows are read and changed by rules that the product's own triggers may refuse by, with codes of their own. */
const REJECTED = /^(22|23|27|44|P0)/;
const WAITING = /^(40|53|55|57|08|25)/;
const STATEMENT_TIMED_OUT = '57014';

export function judgeSourceError(error: unknown): SourceVerdict {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return 'wait';
  if (error.code === STATEMENT_TIMED_OUT) return 'too_slow';
  if (REJECTED.test(error.code)) return 'reject';
  return WAITING.test(error.code) ? 'wait' : 'stop';
}

/** The reason as a customer may read it: what a trigger says is meant for it, the rest names the rule only. */
export function describeRejection(error: unknown): { code: string; message: string } {
  if (!(error instanceof pg.DatabaseError)) {
    return { code: 'rejected', message: 'The database did not change the record.' };
  }
  if (error.code === STATEMENT_TIMED_OUT) {
    return { code: 'timeout', message: 'The database needs too long to change the record.' };
  }
  if (error.code === 'P0001') return { code: 'rejected', message: error.message.slice(0, MAX_MESSAGE) };
  if (error.code?.startsWith('23') === true) {
    const rule = error.constraint === undefined ? '' : ` ${error.constraint}`;
    return { code: 'constraint_violation', message: `The change breaks the rule${rule} (${error.code}).` };
  }
  return { code: 'rejected', message: `The database refuses the value (${error.code}).` };
}

const MAX_MESSAGE = 500;
