/**
 * An export with this many unexplained endings in a row may be what ends its processes. It then shares its process with no
 * other suspect export, so that the guilty one costs each of its neighbours at most three of their runs.
 */
const SUSPECT_AFTER = 2;

/**
 * Which suspect exports may be claimed: `any`, or only the one that is already in the process.
 */
export type SuspectRoom = 'any' | { readonly onlyId: string | undefined };

/** The parameter of `mayClaimSql`. */
export function roomParameter(room: SuspectRoom): string | null {
  return room === 'any' ? null : (room.onlyId ?? '');
}

/** @param unexplainedSql the number of unexplained endings before the claim */
export function isSuspectSql(unexplainedSql: string): string {
  return `(${unexplainedSql} >= ${SUSPECT_AFTER})`;
}

/** Whether there is room for the export. */
export function mayClaimSql(room: string, exportIdSql: string, unexplainedSql: string): string {
  return `(${room}::text is null or ${exportIdSql} = ${room} or not ${isSuspectSql(unexplainedSql)})`;
}
