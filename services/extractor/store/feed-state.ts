import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** How far the feed has come, as the dispatcher mirrors it from capture. */
export interface FeedState {
  /** Every transaction at or before it is visible to every snapshot taken from now on. */
  readonly settledLsn: Lsn;
  /** Every transaction at or before it is in the changes topic. */
  readonly passedLsn: Lsn;
  readonly systemId: string;
  readonly timeline: number;
}

/** Undefined until capture and a dispatcher have run for the first time. */
export async function readFeedState(db: Queryable): Promise<FeedState | undefined> {
  const { rows } = await db.query<{
    settled_lsn: string;
    passed_lsn: string;
    system_id: string;
    timeline: number;
  }>({
    name: 'read_feed_state',
    text: 'select settled_lsn::text, passed_lsn::text, system_id, timeline from feed_state',
  });
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    settledLsn: parseLsn(row.settled_lsn),
    passedLsn: parseLsn(row.passed_lsn),
    systemId: row.system_id,
    timeline: row.timeline,
  };
}

/** The resources whose changes are passed over at present. */
export async function findSetAside(db: Queryable): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ resource: string }>(
    'select resource from feed_set_aside where until_lsn is null',
  );
  return new Set(rows.map(({ resource }) => resource));
}
