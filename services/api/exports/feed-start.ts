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

/** Up to its seal, a feed that goes on from an export leaves out what the export's snapshot holds. */
export interface HandOff {
  readonly exportId: string;
  /** `xmin:xmax:xip,…` */
  readonly snapshot: string;
  readonly untilLsn: Lsn;
}

export interface FeedStart {
  /** The last position that is not delivered. */
  readonly cursor: Position;
  readonly handOff: HandOff | undefined;
}

/** How long events are kept, and what time it is. */
export interface Retention {
  readonly nowMs: number;
  readonly eventRetentionDays: number;
}

/** Where a feed is to start, as a request says it. */
export type RequestedStart = 'now' | { readonly after_export: string } | { readonly since: string };

/** `pointer` leads to the object that holds the words of the request. @throws AppError as the functions below */
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
 * Every change committed after the response must be delivered, and whoever reads the source after the response must find
 * there every change that is not. The settled position gives both: nothing after it is left out, and all before it is
 * visible to any later reader. The last recorded event would not do: its commit may still be invisible to a reader,
 * who would then neither read the change nor be sent it. Some changes of the last moments are sent although they
 * came before the response, and more when the feed lags.
 */
export async function startNow(db: Queryable): Promise<FeedStart> {
  const settledLsn = await findSettledLsn(db);
  // Without a feed so far nothing is recorded, and whatever will be comes after the response or was not seen before.
  return { cursor: settledLsn === undefined ? FEED_START : endOf(settledLsn), handOff: undefined };
}

/**
 * From the position that was settled before the export's snapshot, leaving out what the snapshot holds.
 *
 * @throws AppError `not_found` for an export of another account or none, `conflict` for one that is not completed,
 *   `invalid` for one that is older than the events kept
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
  // The feed may have lagged when the snapshot was taken, so that events it needs are older than it: hence the day.
  const keptSinceMs = retention.nowMs - (retention.eventRetentionDays - 1) * DAY_MS;
  if (Date.parse(job.snapshot.taken_at) < keptSinceMs) {
    const detail = `the export is older than the retained events (${retention.eventRetentionDays} days); create a new export`;
    throw invalid([{ pointer, detail }]);
  }
  return { cursor: endOf(parseLsn(job.start_lsn)), handOff };
}

/** @returns undefined for an export that never completed. One whose files are gone was still loaded by somebody. */
export function handOffOf(job: ExportRow): HandOff | undefined {
  if ((job.status !== 'completed' && job.status !== 'expired') || job.snapshot === null) return undefined;
  if (job.sealed_lsn === null) return undefined;
  const { xmin, xmax, xip } = job.snapshot;
  const snapshot = formatSnapshot({ xmin: BigInt(xmin), xmax: BigInt(xmax), xip: xip.map(BigInt) });
  return { exportId: job.id, snapshot, untilLsn: parseLsn(job.sealed_lsn) };
}

/**
 * From a moment (what was committed at or after it is delivered) or from a position or event (what comes after it).
 *
 * @throws AppError `invalid` when the text is neither, or older than what is kept, or ahead of the feed
 */
export async function startSince(
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
  // All events of a transaction have its moment, so that the place before its commit is the place before the event.
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
  const settled = await findSettledLsn(db);
  const newest = await findNewestEvent(db, accountId);
  const isAhead =
    comparePositions(position, endOf(settled ?? 0n)) > 0 &&
    (newest === undefined || comparePositions(position, newest) > 0);
  if (isAhead) throw invalid([{ pointer, detail: 'is ahead of the feed' }]);
}

/**
 * Whether every event of the account after this position is still there. It is if an event at or before the position is
 * (events go in order of time), or if the account is too young to have lost one; otherwise we can't know, and say no.
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
