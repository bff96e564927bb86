import type { Lsn } from './lsn.ts';

/** Where an event stands in the feed. `index` counts the changes of one transaction from 0. Total order. */
export interface Position {
  readonly commitLsn: Lsn;
  readonly index: number;
}

/** Before every event. */
export const FEED_START: Position = { commitLsn: 0n, index: 0 };

/** Positions from here on are no places in a WAL: they belong to account events. */
export const FEED_LIMIT: Position = { commitLsn: 2n ** 63n, index: 0 };

/** After every event of the transactions that committed at or before `lsn`. */
export function endOf(lsn: Lsn): Position {
  return { commitLsn: lsn, index: 2 ** 31 - 1 };
}

export function comparePositions(a: Position, b: Position): number {
  if (a.commitLsn !== b.commitLsn) return a.commitLsn < b.commitLsn ? -1 : 1;
  return a.index - b.index;
}

/** Fixed width, so that positions compare as texts too: `000000001A2B3C4D-00000012` (hexadecimal LSN, decimal index). */
export function formatPosition({ commitLsn, index }: Position): string {
  return `${commitLsn.toString(16).toUpperCase().padStart(16, '0')}-${String(index).padStart(10, '0')}`;
}

/** @returns undefined when the text is not a position */
export function parsePosition(text: string): Position | undefined {
  const match = /^([0-9A-Fa-f]{16})-([0-9]{10})$/.exec(text);
  if (match === null) return undefined;
  const index = Number(match[2]);
  return index < 2 ** 31 ? { commitLsn: BigInt(`0x${match[1]}`), index } : undefined;
}

/** The same change has the same ID after any crash, replay or re-capture, because nothing but its position goes into it. */
export function eventId(position: Position): string {
  return `evt_${formatPosition(position).replace('-', '')}`;
}

/** @returns undefined when the text is not an event's ID */
export function parseEventId(id: string): Position | undefined {
  const match = /^evt_([0-9A-F]{16})([0-9]{10})$/.exec(id);
  return match === null ? undefined : parsePosition(`${match[1]}-${match[2]}`);
}
