import type { Resource } from '../../../shared/domain/catalog.ts';
import type { ChangeSource, DecodedChange } from '../../../shared/domain/change.ts';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { ChainLink } from '../../../shared/protocol/headers.ts';
import type { RecordedEvent } from './insert-events.ts';
import { createResetRenderer } from './render-event.ts';

/** The place of a change in the feed, or of what follows lost changes, as far as it is known. */
export type ChangePlace = Pick<ChangeSource, 'lsn' | 'commitLsn' | 'committedAtMicros'>;

/**
 * Commit LSN of a transaction that may contain changes lost before this one; 0 if this is the first change of its
 * transaction. A feed may start right before that transaction, so a loss reported inside of it would come after that
 * feed's start.
 */
export function lostAmid({ commitLsn, index }: Pick<ChangeSource, 'commitLsn' | 'index'>): Lsn {
  return index > 0 ? commitLsn : 0n;
}

/** A loss that is being reported to accounts, or was. */
export interface ToldLoss {
  /** Everything up to this link is recorded or lost. */
  readonly through: ChainLink;
  readonly place: ChangePlace;
}

/** The link right before the given one. Everything up to it is missing. */
export function linkBefore({ chain, seq }: ChainLink): ChainLink {
  return { chain, seq: seq - 1 };
}

/** Accounts per statement, about ten milliseconds of work. */
const ACCOUNTS_AT_ONCE = 1_000;

/** Resets belong to no transaction, so they don't push the report of another loss behind them. */
const READ_RECORDED_TO = `
  select max(last.commit_lsn)::text as recorded_to
    from accounts a
   cross join lateral (select e.commit_lsn from events e where e.account_id = a.id and e.xid <> 0
                        order by e.commit_lsn desc, e.idx desc limit 1) last
   where a.source_id = any($1::text[])`;

/** @returns the commit LSN of the last logged change of these accounts (`source_id`); 0 when there is none */
export async function readRecordedTo(db: Queryable, accounts: readonly string[]): Promise<Lsn> {
  let recordedTo = 0n;
  for (let from = 0; from < accounts.length; from += ACCOUNTS_AT_ONCE) {
    const { rows } = await db.query<{ recorded_to: string | null }>({
      name: 'read_recorded_to',
      text: READ_RECORDED_TO,
      values: [accounts.slice(from, from + ACCOUNTS_AT_ONCE)],
    });
    const found = rows[0]?.recorded_to ?? null;
    if (found !== null && parseLsn(found) > recordedTo) recordedTo = parseLsn(found);
  }
  return recordedTo;
}

/**
 * Where to report a loss that precedes a change: at the last byte before its commit, where no change can be. Undefined
 * when that is not behind `after`: a reader may have passed that place, or start behind it, and would miss the report.
 *
 * @param after commit LSN of the last logged change, or of a transaction that may contain lost changes
 */
export function placeOfLoss(before: ChangePlace, after: Lsn): ChangePlace | undefined {
  const commitLsn = before.commitLsn - 1n;
  return commitLsn > after ? { ...before, commitLsn } : undefined;
}

/**
 * The resets that tell each account that changes were lost. Nobody knows which, so each account has to export every
 * resource again.
 */
export function* lostEvents(
  resources: readonly Resource[],
  accounts: readonly string[],
  place: ChangePlace,
): Generator<RecordedEvent> {
  for (const [index, resource] of resources.entries()) {
    const { renderReset } = createResetRenderer(resource);
    const lost = lostChange(resource.name, { ...place, xid: 0n, index, bulkJobId: null });
    for (const account of accounts) yield renderReset(lost, account);
  }
}

function lostChange(resource: string, source: ChangeSource): DecodedChange {
  const reset = {
    op: 'truncate',
    account: '',
    before: null,
    after: null,
    unchanged: [],
    missing: [],
  } as const;
  return { ...reset, resource, source, resetReason: 'changes_lost' };
}
