/** How long a client may take. Downloads take as long as they take. */
export interface RequestLimits {
  /** From the connection, or the response before, to the end of the headers. */
  readonly headersMs: number;
  /** How often connections are looked at for it. */
  readonly checkEveryMs: number;
  /** For the whole of a JSON body. */
  readonly jsonBodyMs: number;
  /** An upload may be slow; it may not stand still for as long as this, nor take longer in all. */
  readonly uploadIdleMs: number;
  readonly uploadTotalMs: number;
  /** On the mean, once the grace is over. */
  readonly uploadLeastBytesPerSecond: number;
  readonly uploadGraceMs: number;
  /** For what a client still sends once it has its response; after it the connection is closed. */
  readonly lingerMs: number;
  /** By which a response is late that refuses who asks too much, or nobody knows: asking in a loop, they ask so much less. See `latenessMs`. */
  readonly refusalMs: number;
  /** After the signal to stop, for requests under way. */
  readonly drainMs: number;
}

/** The greatest upload, 256 MB, is in time at 0.6 Mbit/s; the greatest JSON body, 4 MB, too. */
export const REQUEST_LIMITS: RequestLimits = {
  headersMs: 15_000,
  // Thousands of connections that send nothing are then closed some at a time.
  checkEveryMs: 500,
  jsonBodyMs: 60_000,
  uploadIdleMs: 30_000,
  uploadTotalMs: 3_600_000,
  uploadLeastBytesPerSecond: 16_384,
  uploadGraceMs: 60_000,
  lingerMs: 10_000,
  refusalMs: 250,
  drainMs: 20_000,
};
