import pg, { type Pool } from 'pg';
import { quoteLiteral } from '../postgres/quote.ts';
import { inTransaction } from '../postgres/transaction.ts';
import { WAL_MESSAGES } from '../protocol/wal-messages.ts';
import { sleep } from '../runtime/sleep.ts';
import { type Application, applyStatement, type NumberedItem } from './apply-statement.ts';
import {
  classifySourceError,
  describeRejection,
  isOutage,
  isRaised,
  type SourceErrorClass,
} from './classify-source-error.ts';
import { recordResults } from './ledger.ts';

export interface ApplyOptions {
  readonly source: Pool;
  readonly signal: AbortSignal;
  /** Asked just before each commit; false undoes the change. */
  isStillOurs(): boolean;
  /** Whether the feed is told which job the changes are of. */
  readonly isAnnounced: boolean;
  /** `fail`: rows that others hold are waited for shortly, then their items fail. `leave`: their items are left without a result. */
  readonly whenHeld: 'fail' | 'leave';
  /** How many items a transaction takes, and is told how long each took; absent, all items go at once. */
  readonly size?: { readonly items: number; record(items: number, tookMs: number): void };
  /** How long a statement that begins now may take, where that is less than the pool's sessions let it. */
  statementLimitMs?(items: number): number | undefined;
}

/** Between two looks at rows that are held: 1.85 s in all, then the items fail with `conflict`. */
const HELD_DELAYS_MS = [50, 200, 600, 1_000];

/** Where held rows are left for later, short holds are waited out all the same: 0.25 s. */
const ROUNDS_BEFORE_LEFT = 2;

/** Tries of a statement that something passing is in the way of, before its items are tried apart. */
const WAITING_ATTEMPTS = 4;

/** A statement that takes too long is cut into this many: halves would each take their time until they are short enough. */
const SLOW_PARTS = 16;

/** The claim was lost or called off while a statement was under way; nothing of it is left. */
export class NotOursError extends Error {
  override readonly name = 'NotOursError';
}

/** What the statement did is not what its ledger rows say, for example because a trigger kept a row as it was. */
class UnchangedError extends Error {
  override readonly name = 'UnchangedError';
}

/**
 * Changes the items' rows, each once whoever else is at them, and has written what became of each when it returns.
 *
 * @returns the places of items that others hold the rows of, which have no result; none with `whenHeld: 'fail'`
 * @throws NotOursError, or what the source said when it does not let us go on; what was committed by then stays
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

/** Transaction after transaction. @returns the places of held items */
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
 * A statement that fails for one of its items is tried again in parts, down to the item that it is about: a chunk with
 * one bad item in a thousand costs twenty statements. @returns the places of held items
 *
 * @param isWhole not yet a part of a statement that failed
 */
async function applyOrSplit(
  application: Application,
  items: readonly NumberedItem[],
  isLast: boolean,
  isWhole: boolean,
  options: ApplyOptions,
): Promise<ReadonlySet<number>> {
  for (let attempts = 1; ; attempts += 1) {
    if (options.signal.aborted) throw new NotOursError('the chunk must not continue');
    try {
      return await applyOnce(application, items, isLast, options);
    } catch (error) {
      if (error instanceof NotOursError) throw error;
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

/** A connection that failed counts too: the next one may be to a server that is up again. */
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
 * Whether a failure is the source's rather than an item's: a code alone does not tell, because the product's own triggers and functions may
 * raise any. The same statement without an item needs the same table, columns and rights, and meets no row's trigger.
 */
async function isOfSource(
  application: Application,
  error: unknown,
  errorClass: SourceErrorClass,
  { source }: ApplyOptions,
): Promise<boolean> {
  if (errorClass === 'reject' || errorClass === 'too_slow' || isRaised(error)) return false;
  // The connection failed, and the server with it for all that is known.
  if (!(error instanceof pg.DatabaseError)) return true;
  const { text, values } = applyStatement(application, [], false);
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
  { source, isStillOurs, isAnnounced, statementLimitMs }: ApplyOptions,
): Promise<ReadonlySet<number>> {
  const statement = applyStatement(application, items, isLast);
  const client = await source.connect();
  let broken = false;
  try {
    // Before the changes, so that whoever reads the WAL in order knows the job when they come.
    const announcement = `select pg_logical_emit_message(true, '${WAL_MESSAGES.bulk}', ${quoteLiteral(application.jobId)})`;
    const limitMs = statementLimitMs?.(items.length);
    const limit = `set local statement_timeout = ${Math.ceil(limitMs ?? 0)}`;
    const opening = [
      'begin',
      ...(limitMs === undefined ? [] : [limit]),
      ...(isAnnounced ? [announcement] : []),
    ];
    await client.query(opening.join('; '));
    const { rows } = await client.query<{ recorded: string; changed: string; locked: string }>(
      statement.text,
      [...statement.values],
    );
    const { recorded, changed, locked = '[]' } = rows[0] ?? {};
    if (recorded !== changed)
      throw new UnchangedError(`${recorded} items were to change and ${changed} rows did`);
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
