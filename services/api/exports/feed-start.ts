import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import {
  comparePositions,
  endOf,
  FEED_START,
  parseEventId,
  parsePosition,
} from '../../../shared/domain/position.ts';
import { formatSnapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { findAccount } from '../admin/accounts.ts';
import { findEarlyEvent, findFirstEventSince, findNewestEvent, findSettledLsn } from '../admin/feed-store.ts';
import { formatInstant, parseInstant } from '../http/instant.ts';
import { invalid } from '../http/validate.ts';
import { type ExportRow, findExport } from './store.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Up to the export's seal, a feed that continues from the export leaves out what its snapshot holds. */
export interface HandOff {
  readonly exportId: string;
  /** `xmin:xmax:xip,…` */
  readonly snapshot: string;
  readonly untilLsn: Lsn;
}

export interface FeedStart {
  /** The feed delivers events after this position. */
  readonly cursor: Position;
  readonly handOff: HandOff | undefined;
}

/** The present time, and how long events are retained. */
export interface Retention {
  readonly nowMs: number;
  readonly eventRetentionDays: number;
}

/** The start of a feed in a request. */
export type RequestedStart = 'now' | { readonly after_export: string } | { readonly since: string };

/**
 * Resolves the start of a feed. `pointer`: the object of the request that holds it.
 *
 * @throws AppError as the functions below
 */
export function resolveStart(
  db: Queryable,
  accountId: string,
  start: RequestedStart,
  pointer: string,
  retention: Retention,
): Promise<FeedStart> {
  if (start === 'now') return startNow(db);
  return 'since' in start
    ? startSince(db, accountId, start.since, `${pointer}/since`, retention)
    : startAfterExport(db, accountId, start.after_export, `${pointer}/after_export`, retention);
}

/**
 * Starts after the settled position. Every change committed after the response must be delivered, and a
 * reader of the source after the response must see every change that is not delivered. The settled position
 * gives both: the feed leaves out nothing after it, and any later reader sees everything before it. The last
 * recorded event would not do, because its commit may still be invisible to a reader, who would then neither
 * read nor receive the change. Some changes shortly before the response are delivered too, and more when the
 * feed lags.
 */
async function startNow(db: Queryable): Promise<FeedStart> {
  const settledLsn = await findSettledLsn(db);
  // Without a feed nothing is recorded yet, so every recorded change comes after the response or was
  // invisible before.
  return { cursor: settledLsn === undefined ? FEED_START : endOf(settledLsn), handOff: undefined };
}

/**
 * Starts at the position that was settled before the export's snapshot, and leaves out what the snapshot
 * holds.
 *
 * @throws AppError `not_found` for an export of another account or none, `conflict` for one that is not
 *   completed, `invalid` for one older than the retained events
 */
export async function startAfterExport(
  db: Queryable,
  accountId: string,
  exportId: string,
  pointer: string,
  retention: Retention,
): Promise<{ cursor: Position; handOff: HandOff }> {
  const job = await findExport(db, accountId, exportId);
  if (job === undefined) throw new AppError('not_found', `There is no export ${exportId}.`);
  const handOff = handOffOf(job);
  if (handOff === undefined || job.start_lsn === null || job.snapshot === null) {
    throw new AppError(
      'conflict',
      `The export ${exportId} is ${job.status}. A feed can start only after a completed export.`,
      { extra: { export_status: job.status } },
    );
  }
  // The feed may have lagged when the snapshot was taken, so it needs events older than the snapshot. Hence
  // one day less.
  const keptSinceMs = retention.nowMs - (retention.eventRetentionDays - 1) * DAY_MS;
  if (Date.parse(job.snapshot.taken_at) < keptSinceMs) {
    const detail = `the export is older than the retained events (${retention.eventRetentionDays} days); create a new export`;
    throw invalid([{ pointer, detail }]);
  }
  return { cursor: endOf(parseLsn(job.start_lsn)), handOff };
}

/**
 * The hand-off of an export. An expired export has one too, because somebody may have loaded its files.
 *
 * @returns undefined for an export that never completed
 */
export function handOffOf(job: ExportRow): HandOff | undefined {
  if ((job.status !== 'completed' && job.status !== 'expired') || job.snapshot === null) return undefined;
  if (job.sealed_lsn === null) return undefined;
  const { xmin, xmax, xip } = job.snapshot;
  const snapshot = formatSnapshot({ xmin: BigInt(xmin), xmax: BigInt(xmax), xip: xip.map(BigInt) });
  return { exportId: job.id, snapshot, untilLsn: parseLsn(job.sealed_lsn) };
}

/**
 * Starts at a time (includes changes committed then) or after a position or event.
 *
 * @throws AppError `invalid` when the text is neither, or is older than the retained events, or is ahead of
 *   the feed
 */
async function startSince(
  db: Queryable,
  accountId: string,
  since: string,
  pointer: string,
  retention: Retention,
): Promise<FeedStart> {
  const position = parsePosition(since) ?? parseEventId(since);
  const moment = position === undefined ? parseInstant(since) : undefined;
  if (position !== undefined) {
    await requireKnown(db, accountId, position, pointer, retention);
    return { cursor: position, handOff: undefined };
  }
  if (moment === undefined) {
    throw invalid([{ pointer, detail: 'must be a timestamp with a zone, an event ID or a position' }]);
  }
  if (moment < BigInt(retention.nowMs - retention.eventRetentionDays * DAY_MS) * 1_000n) {
    const detail = `is older than the retained events (${retention.eventRetentionDays} days)`;
    throw invalid([{ pointer, detail }]);
  }
  const first = await findFirstEventSince(db, accountId, formatInstant(moment));
  // All events of a transaction have its commit time, so the feed starts before the whole transaction.
  if (first !== undefined) return { cursor: endOf(first.commitLsn - 1n), handOff: undefined };
  return { cursor: (await findNewestEvent(db, accountId)) ?? FEED_START, handOff: undefined };
}

async function requireKnown(
  db: Queryable,
  accountId: string,
  position: Position,
  pointer: string,
  retention: Retention,
): Promise<void> {
  if (!(await isKept(db, accountId, position, retention))) {
    throw invalid([{ pointer, detail: 'is older than the retained events' }]);
  }
  await requireReached(db, accountId, position, pointer);
}

/**
 * The position of another installation may be far ahead. A reader who waits there would miss every event until then.
 *
 * @throws AppError `invalid` for a position that the account's feed has yet to reach
 */
export async function requireReached(
  db: Queryable,
  accountId: string,
  position: Position,
  pointer: string,
): Promise<void> {
  const settled = await findSettledLsn(db);
  if (comparePositions(position, endOf(settled ?? 0n)) <= 0) return;
  const newest = await findNewestEvent(db, accountId);
  if (newest !== undefined && comparePositions(position, newest) <= 0) return;
  throw invalid([{ pointer, detail: 'is ahead of the feed' }]);
}

/**
 * Whether every event of the account after this position is retained. It is if an event at or before the
 * position is retained (events expire in order of time), or if the account is too young to have lost one.
 * Otherwise this is unknown, and the result is false.
 */
export async function isKept(
  db: Queryable,
  accountId: string,
  position: Position,
  { nowMs, eventRetentionDays }: Retention,
): Promise<boolean> {
  const early = await findEarlyEvent(db, accountId);
  if (early !== undefined && comparePositions(early, position) <= 0) return true;
  const account = await findAccount(db, accountId);
  return account !== undefined && account.created_at.getTime() > nowMs - eventRetentionDays * DAY_MS;
}
