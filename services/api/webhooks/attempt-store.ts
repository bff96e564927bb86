import { formatLsn } from '../../../shared/domain/lsn.ts';
import { parseEventId } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { toBatch } from '../../../shared/protocol/webhook-message.ts';

export interface AttemptRow {
  id: string;
  event_id: string;
  batch: { id: string; event_count: number; last_event_id: string } | null;
  attempt: number;
  started_at: Date;
  duration_ms: number;
  status: number | null;
  outcome: string;
  excerpt: string | null;
}

export interface AttemptFilter {
  readonly webhookId: string;
  /** `delivered`, `failed` for all others, or the class of an error. */
  readonly outcome: string | undefined;
  /** The attempts that sent this event, alone or in a batch. */
  readonly eventId: string | undefined;
  /** RFC 3339, inclusive. */
  readonly from: string | undefined;
  /** RFC 3339, exclusive. */
  readonly to: string | undefined;
}

/** The last attempt that was examined, in the order of the index that is walked. */
export interface AttemptPlace {
  readonly walk: Walk;
  readonly id: string;
  /** Its start with microseconds, or the first event of its request. */
  readonly key: string;
}

/** By time; or, of one event, first the requests that held it alone, then the batches that begin before it. */
type Walk = 'time' | 'alone' | 'batches';

export interface AttemptPage {
  readonly rows: readonly AttemptRow[];
  /** Where the next page continues. Undefined when there is none. */
  readonly next: AttemptPlace | undefined;
}

/** Attempts that one statement examines for few that match: some ten milliseconds. */
const MAX_EXAMINED = 10_000;

/** The same where most match. */
const MAX_EXAMINED_DELIVERED = 1_000;

const LAST_ID = '9223372036854775807';

/** Sorts after every ID of an event. */
const AFTER_ALL_IDS = '~';

const ATTEMPT_COLUMNS =
  'id::text, event_id, batch, attempt, started_at, duration_ms, status, outcome, excerpt';

/** Each walks along one index. `$1`: endpoint, `$2` and `$3`: place, `$4` and `$5`: from and to, `$6`: event. */
const WALKS: Readonly<Record<Walk, { where: string; by: string; first: string; isWanted: string }>> = {
  time: {
    where: '(started_at, id) < ($2::timestamptz, $3::bigint) and $6::text is null',
    by: 'started_at',
    first: 'infinity',
    isWanted: 'true',
  },
  alone: {
    where: `event_ids is null and event_id collate "C" = $6 and (event_id collate "C", id) < ($2::text, $3::bigint)`,
    by: 'event_id collate "C"',
    first: AFTER_ALL_IDS,
    isWanted: 'true',
  },
  batches: {
    where: `event_ids is not null and event_id collate "C" <= $6 and (event_id collate "C", id) < ($2::text, $3::bigint)`,
    by: 'event_id collate "C"',
    first: AFTER_ALL_IDS,
    isWanted: `(batch->>'last_event_id') collate "C" >= $6 and $6 = any(event_ids)`,
  },
};

/**
 * Reads up to `limit` attempts, newest first. Those of one event come in the order of its requests: alone, in a small
 * batch, in a large one. A page may have fewer while there are more, because a statement examines a limited number.
 */
export async function listAttempts(
  db: Queryable,
  filter: AttemptFilter,
  after: AttemptPlace | undefined,
  limit: number,
): Promise<AttemptPage> {
  if (filter.eventId === undefined) return readWalk(db, 'time', filter, after, limit);
  if (after?.walk === 'batches') return readWalk(db, 'batches', filter, after, limit);
  const alone = await readWalk(db, 'alone', filter, after, limit);
  if (alone.next !== undefined) return alone;
  const room = limit - alone.rows.length;
  if (room === 0) return { ...alone, next: { walk: 'batches', key: AFTER_ALL_IDS, id: LAST_ID } };
  const inBatches = await readWalk(db, 'batches', filter, undefined, room);
  return { rows: [...alone.rows, ...inBatches.rows], next: inBatches.next };
}

/** Null without an attempt that matches, apart from what was examined. */
type WalkRow = { [Name in keyof AttemptRow]: AttemptRow[Name] | null } & {
  key: string | null;
  last_id: string;
  last_key: string;
  examined: number;
};

async function readWalk(
  db: Queryable,
  name: Walk,
  { webhookId, outcome, eventId, from, to }: AttemptFilter,
  after: AttemptPlace | undefined,
  limit: number,
): Promise<AttemptPage> {
  const { where, by, first, isWanted } = WALKS[name];
  const isFiltered = name === 'batches' || (outcome !== undefined && outcome !== 'failed');
  const many = outcome === 'delivered' ? MAX_EXAMINED_DELIVERED : MAX_EXAMINED;
  const examine = isFiltered ? many : limit + 1;
  // The index of failures serves every class of them.
  const ofFailures = outcome === undefined || outcome === 'delivered' ? '' : `and outcome <> 'delivered'`;
  const { rows } = await db.query<WalkRow>(
    `with examined as materialized (
       select id, outcome, event_id, event_ids, batch, started_at from webhook_attempts
        where webhook_id = $1 and ${where} ${ofFailures}
          and started_at >= coalesce($4::timestamptz, '-infinity') and started_at < coalesce($5::timestamptz, 'infinity')
        order by ${by} desc, id desc limit $9
     ), wanted as (
       select id from examined where ($7::text is null or outcome = $7) and ${isWanted}
        order by ${by} desc, id desc limit $8 + 1
     ), last as (
       select id::text as last_id, ${by}::text as last_key from examined order by ${by}, id limit 1
     )
     select last.*, (select count(*)::int from examined) as examined, ${by}::text as key, ${ATTEMPT_COLUMNS}
       from last left join (select a.* from wanted join webhook_attempts a using (id)) found on true
      order by ${by} desc, found.id desc`,
    [
      webhookId,
      after?.key ?? first,
      after?.id ?? LAST_ID,
      from ?? null,
      to ?? null,
      eventId ?? null,
      outcome === 'failed' ? null : (outcome ?? null),
      limit,
      examine,
    ],
  );
  const found = rows.filter((row): row is WalkRow & AttemptRow & { key: string } => row.key !== null);
  const page = found.slice(0, limit);
  const lastShown = page.at(-1);
  if (found.length > limit && lastShown !== undefined) {
    return { rows: page, next: { walk: name, id: lastShown.id, key: lastShown.key } };
  }
  const [any] = rows;
  const isCut = any !== undefined && isFiltered && any.examined === examine;
  return { rows: page, next: isCut ? { walk: name, id: any.last_id, key: any.last_key } : undefined };
}

export interface AttemptDetails extends AttemptRow {
  /** Null when nothing was sent, and for attempts of releases that did not keep it. */
  request: { signature: string; own_headers: string[] } | null;
  response: { headers: Record<string, string>; headers_omitted: number; is_body_cut: boolean } | null;
  event_ids: string[] | null;
}

export async function findAttempt(
  db: Queryable,
  webhookId: string,
  id: string,
): Promise<AttemptDetails | undefined> {
  // A number of more digits is no ID, and no bigint.
  if (!/^[0-9]{1,18}$/.test(id)) return undefined;
  const { rows } = await db.query<AttemptDetails>(
    `select ${ATTEMPT_COLUMNS}, request, response, event_ids from webhook_attempts where webhook_id = $1 and id = $2`,
    [webhookId, id],
  );
  return rows[0];
}

/** A body, or the beginning of one. */
export interface SentBody {
  readonly text: string;
  /** Length of the whole body. */
  readonly bytes: number;
}

/**
 * The body that an attempt sent, rebuilt from its events, whose recorded texts are what is sent.
 *
 * @param maxCharacters of an event that was sent alone; a longer one is cut
 * @returns undefined when an event is no longer kept
 */
export async function rebuildBody(
  db: Queryable,
  endpoint: { readonly id: string; readonly account_id: string },
  attempt: AttemptDetails,
  maxCharacters: number,
): Promise<SentBody | undefined> {
  const ids = attempt.event_ids ?? [attempt.event_id];
  const isBatch = attempt.batch !== null;
  const events = await readTexts(db, endpoint, ids, isBatch ? undefined : maxCharacters);
  const [first] = events;
  if (first === undefined || events.length < ids.length) return undefined;
  if (!isBatch) return first;
  const message = toBatch(events.map(({ text }, n) => ({ id: ids[n] ?? '', text })));
  return message.id === attempt.batch?.id
    ? { text: message.body, bytes: Buffer.byteLength(message.body) }
    : undefined;
}

/** The texts of events, in the order of their IDs, without those that are no longer kept. */
async function readTexts(
  db: Queryable,
  endpoint: { readonly id: string; readonly account_id: string },
  ids: readonly string[],
  maxCharacters: number | undefined,
): Promise<SentBody[]> {
  const positions = ids.flatMap((id) => parseEventId(id) ?? []);
  const shown = maxCharacters === undefined ? 'payload' : `left(payload, ${maxCharacters})`;
  if (positions.length === 0) {
    const { rows } = await db.query<SentBody>(
      `select ${shown} as text, octet_length(payload) as bytes from webhook_tests where webhook_id = $1 and event_id = any($2)`,
      [endpoint.id, ids],
    );
    return rows;
  }
  const { rows } = await db.query<SentBody>(
    // A reset for events that came too late has the place of one of them, and a later time.
    `select distinct on (p.place) ${shown} as text, octet_length(payload) as bytes
       from unnest($2::pg_lsn[], $3::int[]) with ordinality as p (lsn, idx, place)
       join deliverable_events e on e.account_id = $1 and e.commit_lsn = p.lsn and e.idx = p.idx
      order by p.place, e.committed_at desc`,
    [
      endpoint.account_id,
      positions.map(({ commitLsn }) => formatLsn(commitLsn)),
      positions.map(({ index }) => index),
    ],
  );
  return rows;
}
