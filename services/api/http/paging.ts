import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { jsonResponse, type TextResponse } from './response.ts';

/** The last row of a page, in a list that is ordered by time and ID, newest first. */
export interface Place {
  /** The timestamp as text, because a `Date` would lose its microseconds. */
  readonly at: string;
  readonly id: string;
}

const MAX_LIMIT = 200;

/** Query parameters of every list. */
export const PAGE_QUERY = {
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(50).meta({ description: 'Size of the page.' }),
  cursor: z
    .string()
    .max(2_000)
    .optional()
    .meta({ description: 'next_cursor of the page before. It belongs to one list with one filter.' }),
};

/** Reads one page, newest first, and one row more to know whether another follows. */
export async function pageResponse<Row extends { id: string; created_at_text: string }>(
  signer: Signer,
  list: string,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  read: (after: Place | undefined, limit: number) => Promise<Row[]>,
  present: (row: Row) => unknown,
): Promise<TextResponse> {
  const after = cursor === undefined ? undefined : readCursor<Place>(signer, list, cursor);
  const rows = await read(after, limit + 1);
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rows.length > limit;
  return jsonResponse(200, {
    data: await inTurns(page, present),
    has_more: hasMore,
    next_cursor:
      hasMore && last !== undefined
        ? writeCursor(signer, list, { at: last.created_at_text, id: last.id } satisfies Place)
        : null,
  });
}

/**
 * Presents one row after the other and lets other requests run between: a row may have hundreds of files,
 * each with a signed link.
 */
async function inTurns<Row>(rows: readonly Row[], present: (row: Row) => unknown): Promise<unknown[]> {
  const presented: unknown[] = [];
  for (const row of rows) {
    presented.push(await present(row));
    await setImmediate();
  }
  return presented;
}

/** Longest search of one request past rows that do not match. */
const SEARCH_MS = 2_000;

/** Some rows of a search, and where it continues. Undefined: it is at its end. */
export interface Found<Row, Place> {
  readonly rows: readonly Row[];
  readonly next: Place | undefined;
}

/**
 * Reads until there are `limit` rows, the search is at its end, `isFull` says so, or two seconds have passed. `read`
 * examines a limited number of rows.
 */
export async function searchRows<Row, Place, Read extends Found<Row, Place>>(
  read: (after: Place | undefined, limit: number) => Promise<Read>,
  from: Place | undefined,
  limit: number,
  isFull: (page: Read) => boolean = () => false,
): Promise<{ rows: Row[]; next: Place | undefined }> {
  const untilMs = performance.now() + SEARCH_MS;
  const rows: Row[] = [];
  for (let after = from; ; ) {
    const page = await read(after, limit - rows.length);
    rows.push(...page.rows);
    after = page.next;
    const isOver = after === undefined || rows.length >= limit || isFull(page);
    if (isOver || performance.now() >= untilMs) return { rows, next: after };
  }
}

/**
 * Responds with one page of a list whose rows are searched: `read` examines a limited number of rows, so it may return
 * fewer than asked for, with a place where it continues. After two seconds the page is what was found, even nothing;
 * `has_more` then says that the search is not at its end.
 */
export async function searchResponse<Row, Place>(
  signer: Signer,
  list: string,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  read: (
    after: Place | undefined,
    limit: number,
  ) => Promise<{ rows: readonly Row[]; next: Place | undefined }>,
  present: (row: Row) => unknown,
): Promise<TextResponse> {
  const after = cursor === undefined ? undefined : readCursor<Place>(signer, list, cursor);
  const { rows, next } = await searchRows<Row, Place, Found<Row, Place>>(read, after, limit);
  return jsonResponse(200, {
    data: await inTurns(rows, present),
    has_more: next !== undefined,
    next_cursor: next === undefined ? null : writeCursor(signer, list, next),
  });
}

/**
 * Writes a cursor that clients can neither interpret nor alter. `list` names the list, its account and its
 * filter, so that a cursor of one list is not valid in another.
 */
export function writeCursor(signer: Signer, list: string, place: unknown): string {
  const text = Buffer.from(JSON.stringify(place)).toString('base64url');
  return `${text}.${signer.sign(`${list}\n${text}`)}`;
}

/** @throws AppError `invalid` for an altered cursor, or one of another list */
export function readCursor<Place>(signer: Signer, list: string, cursor: string, parameter = 'cursor'): Place {
  const [text, signature, ...rest] = cursor.split('.');
  const isOurs =
    text !== undefined &&
    signature !== undefined &&
    rest.length === 0 &&
    signer.verify(`${list}\n${text}`, signature);
  if (!isOurs) {
    const detail = 'is not a cursor of this list; use the next_cursor of the same list and filter';
    throw new AppError('invalid', `${parameter} ${detail}`, { errors: [{ pointer: parameter, detail }] });
  }
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Place;
}
