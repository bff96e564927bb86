import pg from 'pg';

/** `program_limit_exceeded`: a message of a row would be larger than 1 GB. */
const PROGRAM_LIMIT = '54000';

/** `internal_error`, by which the allocator refuses more than 1 GB at once, as for the text of a `bytea`. */
const INTERNAL = 'XX000';
const ALLOCATOR = 'mcxt.c';

/**
 * Whether the server can't write a row, because it is larger than 1 GB as text. That does not pass by itself, unlike a server that
 * is out of memory.
 */
export function exceedsRowLimit(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  return error.code === PROGRAM_LIMIT || (error.code === INTERNAL && error.file === ALLOCATOR);
}
