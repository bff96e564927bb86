/** The routes can't be kept up to date by the stream any more. The next session reads them from the source again. */
export class RoutesStaleError extends Error {
  override readonly name = 'RoutesStaleError';
}

/** A transaction was too large for memory. All of its routes are stored now, and it has to be streamed again. */
export class TransactionToRepeatError extends Error {
  override readonly name = 'TransactionToRepeatError';
}
