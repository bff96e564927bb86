/** The routes no longer follow from what was streamed: the next session reads them from the source again. */
export class RoutesStaleError extends Error {
  override readonly name = 'RoutesStaleError';
}

/** All routes of a transaction that does not fit into memory are stored by now: it has to be streamed again. */
export class TransactionToRepeatError extends Error {
  override readonly name = 'TransactionToRepeatError';
}
