/**
 * A PostgreSQL snapshot as `pg_current_snapshot()` prints it. Transaction IDs are 64 bits wide here (epoch included).
 * See "System Information Functions", `pg_snapshot`, in PostgreSQL's manual.
 */
export interface Snapshot {
  /** Every transaction below is finished. */
  readonly xmin: bigint;
  /** Every transaction at or above had not finished. */
  readonly xmax: bigint;
  /** Those between that were in progress. Top-level transactions only. */
  readonly xip: readonly bigint[];
}

/** Parses `xmin:xmax:xip,xip,…`. @throws RangeError for anything else */
export function parseSnapshot(text: string): Snapshot {
  const match = /^([0-9]+):([0-9]+):([0-9,]*)$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new RangeError(`not a snapshot: ${JSON.stringify(text)}`);
  }
  const xip = match[3] === undefined || match[3] === '' ? [] : match[3].split(',').map(BigInt);
  return { xmin: BigInt(match[1]), xmax: BigInt(match[2]), xip };
}

export function formatSnapshot({ xmin, xmax, xip }: Snapshot): string {
  return `${xmin}:${xmax}:${xip.join(',')}`;
}

/**
 * Whether a committed top-level transaction is in the snapshot. This, and never an LSN, decides what an export
 * holds: a commit record is written, and streamed, before its transaction becomes visible to others.
 */
export function isVisible(xid: bigint, { xmin, xmax, xip }: Snapshot): boolean {
  return xid < xmin || (xid < xmax && !xip.includes(xid));
}

/** Whether all that `earlier` sees is seen by `later`, too. False for some of which it can't be told. */
export function seesAllOf(later: Snapshot, earlier: Snapshot): boolean {
  return earlier.xmax <= later.xmax && later.xip.every((xid) => !isVisible(xid, earlier));
}

/**
 * Widens the 32-bit transaction ID of the replication protocol to the 64-bit value nearest to `near`,
 * a recent `pg_snapshot_xmax`. Right as long as the two are less than 2^31 apart, which PostgreSQL itself ensures.
 */
export function widenXid(xid: number, near: bigint): bigint {
  const span = 1n << 32n;
  const candidate = (near & ~(span - 1n)) | BigInt(xid);
  const distance = candidate - near;
  if (distance > span / 2n && candidate >= span) return candidate - span;
  if (distance < -(span / 2n)) return candidate + span;
  return candidate;
}
