/** Where a list that is ordered by time and ID, newest first, goes on. */
export interface Place {
  /** The timestamp's text, which keeps the microseconds that a `Date` would lose. */
  readonly at: string;
  readonly id: string;
}
