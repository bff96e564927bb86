import { isVisible, type Snapshot } from '../../../shared/domain/snapshot.ts';

/** The parts of an endpoint that say which events it gets. */
export interface EventSelection {
  /** `*`, `invoice.*` or `invoice.created`. */
  readonly patterns: readonly string[];
  /** Where the feed takes over from an export; undefined when it started without one. */
  readonly handOff: { readonly snapshot: Snapshot; readonly untilLsn: bigint } | undefined;
}

/**
 * Whether an event's type was asked for. A `feed.reset` concerns whoever gets any event of its resource: `singular`
 * is the name that the types of that resource's events start with.
 */
export function isTypeWanted(
  patterns: readonly string[],
  type: string,
  singular: string | undefined,
): boolean {
  const isReset = type === 'feed.reset' && singular !== undefined;
  return patterns.some(
    (pattern) =>
      pattern === '*' ||
      pattern === type ||
      (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))) ||
      (isReset && pattern.startsWith(`${singular}.`)),
  );
}

/**
 * Whether the export's files hold a change already. Its transaction's visibility decides, never its position: up to
 * the seal the two need not agree, and from there on everything is later than the snapshot.
 */
export function isInExport(
  event: { readonly commitLsn: bigint; readonly xid: bigint },
  handOff: EventSelection['handOff'],
): boolean {
  return (
    handOff !== undefined && event.commitLsn <= handOff.untilLsn && isVisible(event.xid, handOff.snapshot)
  );
}
