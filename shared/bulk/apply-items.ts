import pg, { type Pool } from 'pg';
import { quoteLiteral } from '../postgres/quote.ts';
import { inTransaction } from '../postgres/transaction.ts';
import { WAL_MESSAGES } from '../protocol/wal-messages.ts';
import { sleep } from '../runtime/sleep.ts';
import { type Application, applyStatement, type NumberedItem, type RowAccess } from './apply-statement.ts';
import {
  classifySourceError,
  describeRejection,
  isOutage,
  isRaised,
  type SourceErrorClass,
} from './classify-source-error.ts';
import { keepPlan } from './keep-plan.ts';
import { recordResults } from './ledger.ts';

export interface ApplyOptions {
  readonly source: Pool;
  readonly signal: AbortSignal;
  /** Called just before each commit; false rolls the change back. */
  isStillOurs(): boolean;
  /** Whether the WAL names the job of the changes. */
  readonly isAnnounced: boolean;
  /** `fail`: items fail if their rows stay locked for a short time. `leave`: such items get no result. */
  readonly whenHeld: 'fail' | 'leave';
  /** Number of items of a transaction, and where its duration is recorded; absent: all items in one transaction. */
  readonly size?: { readonly items: number; record(items: number, tookMs: number): void };
  /** Timeout of the next statement, if it is shorter than that of the pool's sessions. */
  statementLimitMs?(items: number): number | undefined;
}

/** Between two attempts at locked rows: 1.85 s in all, then the items fail with `conflict`. */
const HELD_DELAYS_MS = [50, 200, 600, 1_000];

/** Rounds for locked rows that are left for later: short locks pass within 0.25 s. */
const ROUNDS_BEFORE_LEFT = 2;

/** Attempts at a statement with a transient error, before it is split. */
const WAITING_ATTEMPTS = 4;

/** Parts of a statement that was too slow: halves would each run into the timeout until they are small enough. */
const SLOW_PARTS = 16;

/** The claim was lost or cancelled during a statement, which was rolled back. */
export class NotOursError extends Error {
  override readonly name = 'NotOursError';
}

/**
 * The statement changed fewer rows than it has locked: a trigger suppressed a change, or another transaction changed a row before
 * the statement had its lock.
 */
class UnchangedError extends Error {
  override readonly name = 'UnchangedError';
}

/**
 * Changes the items' rows, each exactly once even beside other workers, and records each item's result.
 *
 * @returns the positions of items whose rows are locked, which have no result; none with `whenHeld: 'fail'`
 * @throws NotOursError, or the source's error; changes committed by then stay
 */
export async function applyItems(
  application: Application,
  items: readonly NumberedItem[],
  options: ApplyOptions,
): Promise<ReadonlySet<number>> {
  const lastRound = options.whenHeld === 'fail' ? HELD_DELAYS_MS.length : ROUNDS_BEFORE_LEFT;
  let open = items;
  let held: ReadonlySet<number> = new Set();
  for (let round = 0; open.length > 0; round += 1) {
    const isLast = round === lastRound;
    held = await applyInTurn(application, open, isLast && options.whenHeld === 'fail', options);
    const left = held;
    open = open.filter(({ seq }) => left.has(seq));
    if (isLast) break;
    if (open.length > 0) await sleep(HELD_DELAYS_MS[round] ?? 0, options.signal);
  }
  return held;
}

/** One transaction after the other. @returns the positions of locked items */
async function applyInTurn(
  application: Application,
  items: readonly NumberedItem[],
  isLast: boolean,
  options: ApplyOptions,
): Promise<ReadonlySet<number>> {
  const held = new Set<number>();
  for (let from = 0; from < items.length; ) {
    const some = items.slice(from, from + (options.size?.items ?? items.length));
    const startedAtMs = performance.now();
    for (const seq of await applyOrSplit(application, some, isLast, true, options)) held.add(seq);
    options.size?.record(some.length, performance.now() - startedAtMs);
    from += some.length;
  }
  return held;
}

/**
 * Splits a statement that fails, down to the item at fault: a chunk with one bad item in a thousand costs twenty statements.
 *
 * @param isWhole false for a part of a statement that failed
 * @returns the positions of locked items
 */
async function applyOrSplit(
  application: Application,
  items: readonly NumberedItem[],
  isLast: boolean,
  isWhole: boolean,
  options: ApplyOptions,
): Promise<ReadonlySet<number>> {
  let access: RowAccess = isWhole && application.table.isOneRelation ? 'place' : 'key';
  for (let attempts = 1; ; attempts += 1) {
    if (options.signal.aborted) throw new NotOursError('the chunk must not continue');
    try {
      return await applyOnce(application, items, isLast, access, options);
    } catch (error) {
      if (error instanceof NotOursError) throw error;
      if (error instanceof UnchangedError && access === 'place') {
        access = 'key';
        continue;
      }
      const [first] = items;
      const only = items.length === 1 ? first : undefined;
      const errorClass = error instanceof UnchangedError ? 'reject' : classifySourceError(error);
      if (errorClass === 'too_slow' && options.signal.aborted) {
        throw new NotOursError('the time was over before the statement was', { cause: error });
      }
      if (isWhole && attempts < WAITING_ATTEMPTS && errorClass === 'wait' && mayPass(error)) {
        await sleep(HELD_DELAYS_MS[attempts - 1] ?? 0, options.signal);
        continue;
      }
      if ((isWhole || only !== undefined) && (await isOfSource(application, error, errorClass, options)))
        throw error;
      if (only !== undefined) {
        if (errorClass === 'wait' && !isLast && !isRaised(error)) return new Set([only.seq]);
        const { code, message } = describeRejection(error);
        await recordResults(options.source, application.jobId, [
          { ...only, status: 'failed', code, message },
        ]);
        return new Set();
      }
      const held = new Set<number>();
      for (const part of partsOf(items, errorClass === 'too_slow' ? SLOW_PARTS : 2)) {
        for (const seq of await applyOrSplit(application, part, isLast, false, options)) held.add(seq);
      }
      return held;
    }
  }
}

/** A failed connection counts as transient: the server may be up again for the next one. */
function mayPass(error: unknown): boolean {
  return isOutage(error) || !(error instanceof pg.DatabaseError);
}

function partsOf(items: readonly NumberedItem[], count: number): NumberedItem[][] {
  const length = Math.ceil(items.length / count);
  return Array.from({ length: Math.ceil(items.length / length) }, (_, index) =>
    items.slice(index * length, (index + 1) * length),
  );
}

/**
 * Whether an error is the source's and not an item's. Its code alone does not decide that, because the product's triggers and
 * functions may raise any code. The same statement without items needs the same table, columns and rights, and fires no trigger.
 */
async function isOfSource(
  application: Application,
  error: unknown,
  errorClass: SourceErrorClass,
  { source }: ApplyOptions,
): Promise<boolean> {
  if (errorClass === 'reject' || errorClass === 'too_slow' || isRaised(error)) return false;
  // The connection failed, and the server perhaps with it.
  if (!(error instanceof pg.DatabaseError)) return true;
  const { text, values } = applyStatement(application, [], false, 'key');
  const undo = new Error('the probe is over');
  try {
    await inTransaction(source, async (client) => {
      await client.query(text, [...values]);
      throw undo;
    });
  } catch (met) {
    return met !== undo && !(met instanceof pg.DatabaseError && met.code !== error.code);
  }
  return false;
}

async function applyOnce(
  application: Application,
  items: readonly NumberedItem[],
  isLast: boolean,
  access: RowAccess,
  { source, isStillOurs, isAnnounced, statementLimitMs }: ApplyOptions,
): Promise<ReadonlySet<number>> {
  const statement = applyStatement(application, items, isLast, access);
  const client = await source.connect();
  let broken = false;
  try {
    // Before the changes, so that capture knows the job when it reads them.
    const announcement = `select pg_logical_emit_message(true, '${WAL_MESSAGES.bulk}', ${quoteLiteral(application.jobId)})`;
    const limitMs = statementLimitMs?.(items.length);
    const limit = `set local statement_timeout = ${Math.ceil(limitMs ?? 0)}`;
    const opening = [
      'begin',
      ...(limitMs === undefined ? [] : [limit]),
      ...(isAnnounced ? [announcement] : []),
    ];
    await client.query(opening.join('; '));
    const { rows } = await client.query<{ wanted: string; changed: string; locked: string }>(
      keepPlan(statement),
    );
    const { wanted, changed, locked = '[]' } = rows[0] ?? {};
    if (wanted !== changed)
      throw new UnchangedError(`${wanted} items were to change and ${changed} rows did`);
    if (!isStillOurs()) throw new NotOursError('the claim ran out before the commit');
    await client.query('commit');
    return new Set(JSON.parse(locked) as number[]);
  } catch (error) {
    await client.query('rollback').catch(() => {
      broken = true;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}
