import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { isVisible, type Snapshot } from '../../../shared/domain/snapshot.ts';
import type { LoggedEvent } from '../store/read-events.ts';

/** The parts of an endpoint that say which events it gets. */
export interface EventSelection {
  /** `*`, `invoice.*` or `invoice.created`. */
  readonly patterns: readonly string[];
  /** Where the feed takes over from an export; undefined when it started without one. */
  readonly handOff: { readonly snapshot: Snapshot; readonly untilLsn: bigint } | undefined;
}

/**
 * Whether the export's files hold a change already. Its transaction's visibility decides, never its position: up to
 * the seal the two need not agree, and from there on everything is later than the snapshot. A reset behind a gap is of no
 * transaction (xid 0), and in no file: what was lost there need not have been visible to the snapshot.
 */
export function isInExport(
  event: { readonly commitLsn: bigint; readonly xid: bigint },
  handOff: EventSelection['handOff'],
): boolean {
  return (
    handOff !== undefined &&
    event.xid !== 0n &&
    event.commitLsn <= handOff.untilLsn &&
    isVisible(event.xid, handOff.snapshot)
  );
}

/** Whether an endpoint gets an event at all. */
export function isEventWanted(
  { patterns, handOff }: EventSelection,
  event: Pick<LoggedEvent, 'position' | 'xid' | 'type' | 'resource'>,
  singularOf: (resource: string) => string | undefined,
): boolean {
  return (
    isTypeWanted(patterns, event.type, singularOf(event.resource)) &&
    !isInExport({ commitLsn: event.position.commitLsn, xid: event.xid }, handOff)
  );
}
