import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { LoggedEvent } from './read-events.ts';

/** Events of the account that one look passes over: some ten milliseconds. The log has no index by record, which would slow all writes. */
const SCANNED_EVENTS = 10_000;

export interface RecordEvents {
  readonly events: readonly Omit<LoggedEvent, 'payload'>[];
  /** Where the next look goes on; undefined when there is nothing more. */
  readonly readTo: Position | undefined;
}

interface Row {
  scanned: number;
  end_lsn: string;
  end_idx: number;
  commit_lsn: string | null;
  idx: number;
  xid: string;
  type: string;
  resource: string;
  record_key: string;
  committed_at: string;
}

const READ_RECORD_EVENTS = `
  with scanned as materialized (
    select commit_lsn, idx, xid, type, resource, record_key, committed_at from events
     where account_id = $1 and (commit_lsn, idx) > ($2::pg_lsn, $3::int) and (commit_lsn, idx) <= ($4::pg_lsn, $5::int)
     order by commit_lsn, idx limit $8
  ), found as (
    select * from scanned where resource = split_part($6, '/', 1) and resource || '/' || record_key = $6
     order by commit_lsn, idx limit $7
  )
  select (select count(*)::int from scanned) as scanned, last.commit_lsn as end_lsn, last.idx as end_idx,
         f.commit_lsn, f.idx, f.xid::text, f.type, f.resource, f.record_key, f.committed_at::text
    from (select commit_lsn, idx from scanned order by commit_lsn desc, idx desc limit 1) last
    left join found f on true
   order by f.commit_lsn, f.idx`;

/** The events of one record (`<resource>/<record key>`) after a position, up to another, in order, without their texts. */
export async function readRecordEvents(
  db: Queryable,
  accountId: string,
  record: string,
  after: Position,
  upTo: Position,
  limit: number,
  scannedEvents: number = SCANNED_EVENTS,
): Promise<RecordEvents> {
  const { rows } = await db.query<Row>({
    name: 'read_record_events',
    text: READ_RECORD_EVENTS,
    values: [
      accountId,
      formatLsn(after.commitLsn),
      after.index,
      formatLsn(upTo.commitLsn),
      upTo.index,
      record,
      limit,
      scannedEvents,
    ],
  });
  const events = rows.flatMap((row) =>
    row.commit_lsn === null
      ? []
      : {
          position: { commitLsn: parseLsn(row.commit_lsn), index: row.idx },
          xid: BigInt(row.xid),
          type: row.type,
          resource: row.resource,
          recordKey: row.record_key,
          committedAt: row.committed_at,
        },
  );
  const [first] = rows;
  if (first === undefined) return { events, readTo: undefined };
  if (events.length === limit) return { events, readTo: events.at(-1)?.position };
  if (first.scanned < scannedEvents) return { events, readTo: undefined };
  return { events, readTo: { commitLsn: parseLsn(first.end_lsn), index: first.end_idx } };
}
