import type { SuspectRoom } from '../../shared/control/exports/suspect-exports.ts';

/**
 * A process's place for one suspect export: for its run, its chunks, or both. If the process dies again, no other suspect
 * export loses a run by it.
 */
export interface SuspectPlace {
  /**
   * Claims work within the present room. Suspect work keeps the place until `leave`.
   *
   * @param suspectOf the claimed work's export, if it is suspect
   */
  claim<T>(
    query: (room: SuspectRoom) => Promise<T | undefined>,
    suspectOf: (claimed: T) => string | undefined,
  ): Promise<T | undefined>;
  leave(exportId: string): void;
}

export function createSuspectPlace(): SuspectPlace {
  const users: string[] = [];
  // Two claims at once would both find the place free.
  let isClaiming = false;
  return {
    async claim(query, suspectOf) {
      const mayTake = users.length === 0 && !isClaiming;
      if (mayTake) isClaiming = true;
      try {
        const claimed = await query(mayTake ? 'any' : { onlyId: users[0] });
        const exportId = claimed === undefined ? undefined : suspectOf(claimed);
        if (exportId !== undefined) users.push(exportId);
        return claimed;
      } finally {
        if (mayTake) isClaiming = false;
      }
    },
    leave(exportId) {
      const index = users.indexOf(exportId);
      if (index >= 0) users.splice(index, 1);
    },
  };
}
