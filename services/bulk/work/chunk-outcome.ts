/** The results that an attempt at a chunk may have. `handler_silent`: the handler is away, and responded for no item. */
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
