import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { RecordedEvent } from './insert-events.ts';
import { toExpiredReset } from './render-event.ts';

/**
 * Accounts that may have missed one of the events. An account has not missed an event if the log holds it, or holds a
 * later one (the log is recorded in order), or if the account was created after the event.
 */
const ACCOUNTS_WITHOUT = `
  select distinct a.source_id as account
    from unnest($1::text[], $2::pg_lsn[], $3::int[], $4::timestamptz[]) as e (account, commit_lsn, idx, committed_at)
    join accounts a on a.source_id = e.account and a.created_at <= e.committed_at
   where not exists (select from events l
                      where l.account_id = a.id and (l.commit_lsn, l.idx) >= (e.commit_lsn, e.idx))`;

/** Limit of remembered accounts and resources. Beyond it all are forgotten, and some accounts are told again. */
const MAX_TOLD = 100_000;

/**
 * Replaces events that arrive after their retention by a `feed.reset`, once per account, resource and process, until
 * the account misses later events.
 */
export interface ExpiredEvents {
  /** The resets that replace these events, placed on the first retained day `keptSince` (`2026-01-02`). */
  resetsFor(events: readonly RecordedEvent[], keptSince: string): Promise<RecordedEvent[]>;
  /** Notes that these resets are in the log. */
  noteTold(resets: readonly RecordedEvent[]): void;
}

export function createExpiredEvents(
  db: Queryable,
  now: () => number,
  maxTold: number = MAX_TOLD,
): ExpiredEvents {
  /**
   * Time of the last reset. It makes its account export again, and the new export holds every change committed before
   * that time.
   */
  const toldAtMs = new Map<string, number>();
  const isTold = (place: string, { committedAt }: RecordedEvent) =>
    Date.parse(committedAt) < (toldAtMs.get(place) ?? Number.NEGATIVE_INFINITY);
  const placeOf = ({ account, resource }: RecordedEvent) => JSON.stringify([account, resource]);
  return {
    async resetsFor(events, keptSince) {
      const firsts = [...Map.groupBy(events, placeOf)].flatMap(([place, ofPlace]) => {
        const first = ofPlace.find((event) => !isTold(place, event));
        return first === undefined ? [] : [first];
      });
      if (firsts.length === 0) return [];
      const { rows } = await db.query<{ account: string }>(ACCOUNTS_WITHOUT, [
        firsts.map(({ account }) => account),
        firsts.map(({ commitLsn }) => formatLsn(commitLsn)),
        firsts.map(({ index }) => index),
        firsts.map(({ committedAt }) => committedAt),
      ]);
      const accounts = new Set(rows.map(({ account }) => account));
      return firsts
        .filter(({ account }) => accounts.has(account))
        .map((first) => toExpiredReset(first, `${keptSince}T00:00:00.000000Z`));
    },
    noteTold(resets) {
      if (toldAtMs.size + resets.length > maxTold) toldAtMs.clear();
      for (const reset of resets) toldAtMs.set(placeOf(reset), now());
    },
  };
}
