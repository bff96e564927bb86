import type { Cluster } from './cluster.ts';

/** Looks, as often as it is asked to, at who may start requests for each endpoint. */
export interface OwnershipWatch {
  sample(): void;
  /** The longest time for which an active endpoint had nobody who delivers to it, those that still have nobody included. */
  readonly longestUnownedMs: number;
  /** Active endpoints that nobody delivers to now. */
  readonly unownedCount: number;
  /** Endpoints that two could start requests for at once, as sentences. */
  readonly ownedTwice: readonly string[];
  /** Lets the longest time begin again. */
  reset(): void;
}

export function watchOwnership({ tables, members }: Cluster, nowMs: () => number): OwnershipWatch {
  const unownedSinceMs = new Map<string, number>();
  const ownedTwice: string[] = [];
  let longestUnownedMs = 0;
  return {
    sample() {
      const ownerOf = new Map<string, string>();
      for (const { id, able, isSending } of members) {
        if (!isSending) continue;
        for (const endpointId of able.keys()) {
          const other = ownerOf.get(endpointId);
          if (other !== undefined) ownedTwice.push(`at ${nowMs()} ms ${other} and ${id} have ${endpointId}`);
          ownerOf.set(endpointId, id);
        }
      }
      for (const endpointId of unownedSinceMs.keys()) {
        if (!tables.isActive(endpointId)) unownedSinceMs.delete(endpointId);
      }
      for (const endpointId of tables.ids()) {
        if (ownerOf.has(endpointId) || !tables.isActive(endpointId)) {
          unownedSinceMs.delete(endpointId);
          continue;
        }
        const sinceMs = unownedSinceMs.get(endpointId) ?? nowMs();
        unownedSinceMs.set(endpointId, sinceMs);
        longestUnownedMs = Math.max(longestUnownedMs, nowMs() - sinceMs);
      }
    },
    get longestUnownedMs() {
      return longestUnownedMs;
    },
    get unownedCount() {
      return unownedSinceMs.size;
    },
    ownedTwice,
    reset() {
      longestUnownedMs = 0;
      unownedSinceMs.clear();
    },
  };
}
