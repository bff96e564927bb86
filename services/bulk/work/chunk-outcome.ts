/** The outcomes of an attempt at a chunk. `handler_silent`: the handler is unavailable, and responded for no item. */
export const CHUNK_OUTCOMES = [
  'worked',
  'rows_held',
  'handler_away',
  'handler_silent',
  'waiting_for_quota',
  'quota_exhausted',
  'lost',
] as const;

export type ChunkOutcome = (typeof CHUNK_OUTCOMES)[number];
