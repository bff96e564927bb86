/** Time limits of a client. Downloads have a least rate instead. */
export interface RequestLimits {
  /** From the connection, or the previous response, to the end of the headers. */
  readonly headersMs: number;
  /** How often the limit of headers is checked. */
  readonly checkEveryMs: number;
  /** For the whole of a JSON body. */
  readonly jsonBodyMs: number;
  /** For the whole of a form with which somebody enters the dashboard: a few short fields, which anybody may send. */
  readonly entryFormMs: number;
  /** An upload may be slow. It may neither pause for this long nor take longer in all. */
  readonly uploadIdleMs: number;
  readonly uploadTotalMs: number;
  /** The least mean rate, after the grace. */
  readonly uploadLeastBytesPerSecond: number;
  readonly uploadGraceMs: number;
  /** For bytes that a client still sends after its response. Then the connection is closed. */
  readonly lingerMs: number;
  /** Delay of refusals of unknown callers and of too many requests, which slows down clients that retry in a loop. */
  readonly refusalMs: number;
  /** For running requests, after the signal to stop. */
  readonly drainMs: number;
}

/** The largest upload, 256 MB, arrives in time at 0.6 Mbit/s. So does the largest JSON body, 4 MB. */
export const REQUEST_LIMITS: RequestLimits = {
  headersMs: 15_000,
  // Thousands of connections that send nothing are then closed some at a time.
  checkEveryMs: 500,
  jsonBodyMs: 60_000,
  entryFormMs: 5_000,
  uploadIdleMs: 30_000,
  uploadTotalMs: 3_600_000,
  uploadLeastBytesPerSecond: 16_384,
  uploadGraceMs: 60_000,
  lingerMs: 10_000,
  refusalMs: 250,
  drainMs: 20_000,
};
