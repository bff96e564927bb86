import type { Pool } from 'pg';
import { quoteLiteral } from '../postgres/quote.ts';
import { sleep } from '../runtime/sleep.ts';
import { type Application, applyStatement, type NumberedItem } from './apply-statement.ts';
import { describeRejection, judgeSourceError } from './judge-source-error.ts';
import { noteResults } from './ledger.ts';

export interface ApplyOptions {
  readonly source: Pool;
  readonly signal: AbortSignal;
  /** Asked just before each commit; false undoes the change. */
  isStillOurs(): boolean;
  /** Whether the feed is told which job the changes are of. */
  readonly isAnnounced: boolean;
  /** How many items a transaction takes, and is told how long each took; absent, all items go at once. */
  readonly size?: { readonly items: number; note(items: number, tookMs: number): void };
  /** How long a statement that begins now may take, where that is less than the pool's sessions let it. */
  statementLimitMs?(): number;
}

/** Between two looks at rows that are locked: 1.85 s in all, then the items fail with `conflict`. */
const LOCKED_DELAYS_MS = [50, 200, 600, 1_000];

/** Tries of a statement that something passing is in the way of. */
const WAITING_TRIES = 4;

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
 * @throws NotOursError, or what the source said when it does not let us go on; what was committed by then stays
 */
export async function applyItems(
  application: Application,
  items: readonly NumberedItem[],
  options: ApplyOptions,
): Promise<void> {
  let open = items;
  for (let round = 0; open.length > 0; round += 1) {
    const isLast = round === LOCKED_DELAYS_MS.length;
    const locked = await applyInTurn(application, open, isLast, options);
    open = open.filter(({ seq }) => locked.has(seq));
    if (open.length > 0) await sleep(LOCKED_DELAYS_MS[round] ?? 0, options.signal);
  }
}

/** Transaction after transaction. @returns the places of locked items */
async function applyInTurn(
  application: Application,
  items: readonly NumberedItem[],
  isLast: boolean,
  options: ApplyOptions,
): Promise<ReadonlySet<number>> {
  const locked = new Set<number>();
  for (let from = 0; from < items.length; ) {
    const some = items.slice(from, from + (options.size?.items ?? items.length));
    const startedAtMs = performance.now();
    for (const seq of await applyOrSplit(application, some, isLast, options)) locked.add(seq);
    options.size?.note(some.length, performance.now() - startedAtMs);
    from += some.length;
  }
  return locked;
}

/**
 * A statement that the database rejects, or takes too long for, is tried again in halves, down to the one item that it is
 * about: a chunk with one bad item in a thousand costs twenty statements. @returns the places of locked items
 */
async function applyOrSplit(
  application: Application,
  items: readonly NumberedItem[],
  isLast: boolean,
  options: ApplyOptions,
): Promise<ReadonlySet<number>> {
  for (let tries = 1; ; tries += 1) {
    if (options.signal.aborted) throw new NotOursError('the chunk is not to go on');
    try {
      return await applyOnce(application, items, isLast, options);
    } catch (error) {
      const verdict = error instanceof UnchangedError ? 'reject' : judgeSourceError(error);
      if (error instanceof NotOursError || verdict === 'stop') throw error;
      if (verdict === 'too_slow' && options.signal.aborted) {
        throw new NotOursError('the time was over before the statement was', { cause: error });
      }
      if (verdict === 'wait') {
        if (tries === WAITING_TRIES) throw error;
        await sleep(LOCKED_DELAYS_MS[tries - 1] ?? 0, options.signal);
        continue;
      }
      const [only] = items;
      if (items.length === 1 && only !== undefined) {
        const { code, message } = describeRejection(error);
        await noteResults(options.source, application.jobId, [{ ...only, status: 'failed', code, message }]);
        return new Set();
      }
      const middle = Math.ceil(items.length / 2);
      const first = await applyOrSplit(application, items.slice(0, middle), isLast, options);
      const second = await applyOrSplit(application, items.slice(middle), isLast, options);
      return new Set([...first, ...second]);
    }
  }
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
  const onError = () => {
    broken = true;
  };
  client.on('error', onError);
  try {
    // Before the changes, so that whoever reads the WAL in order knows the job when they come.
    const announcement = `select pg_logical_emit_message(true, 'tandem.bulk', ${quoteLiteral(application.jobId)})`;
    const limit = `set local statement_timeout = ${Math.ceil(statementLimitMs?.() ?? 0)}`;
    const opening = ['begin', ...(statementLimitMs ? [limit] : []), ...(isAnnounced ? [announcement] : [])];
    await client.query(opening.join('; '));
    const { rows } = await client.query<{ noted: string; changed: string; locked: string }>(statement.text, [
      ...statement.values,
    ]);
    const { noted, changed, locked = '[]' } = rows[0] ?? {};
    if (noted !== changed) throw new UnchangedError(`${noted} items were to change and ${changed} rows did`);
    if (!isStillOurs()) throw new NotOursError('the claim ran out before the commit');
    await client.query('commit');
    return new Set(JSON.parse(locked) as number[]);
  } catch (error) {
    await client.query('rollback').catch(() => {
      broken = true;
    });
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
