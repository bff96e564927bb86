import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { RecordedEvent } from './insert-events.ts';
import { toExpiredReset } from './render-event.ts';

/**
 * Those accounts that may have missed one of the events: it is not in the log, which is recorded in order, nor was it
 * there and dropped, when something behind it is; and the account was there when it was committed.
 */
const ACCOUNTS_WITHOUT = `
  select distinct a.source_id as account
    from unnest($1::text[], $2::pg_lsn[], $3::int[], $4::timestamptz[]) as e (account, commit_lsn, idx, committed_at)
    join accounts a on a.source_id = e.account and a.created_at <= e.committed_at
   where not exists (select from events l
                      where l.account_id = a.id and (l.commit_lsn, l.idx) >= (e.commit_lsn, e.idx))`;

/** Places remembered; beyond this all are forgotten, and told once more. */
const MAX_TOLD = 100_000;

/** Tells accounts of events that came later than events are kept, once for each of their resources and process, until they miss others. */
export interface ExpiredEvents {
  /** The resets that take the place of these events, at the first kept day `keptSince` (`2026-01-02`). */
  resetsFor(events: readonly RecordedEvent[], keptSince: string): Promise<RecordedEvent[]>;
  /** These are in the log. */
  noteTold(resets: readonly RecordedEvent[]): void;
}

export function createExpiredEvents(
  db: Queryable,
  now: () => number,
  maxTold: number = MAX_TOLD,
): ExpiredEvents {
  /** When. Whoever was told needs a new export, which holds whatever was committed before that and comes too late. */
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
