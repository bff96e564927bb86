import type { ProgressBatch } from '../store/save-progress.ts';

/** An endpoint with something to save. */
export interface Savable {
  readonly id: string;
  /** What is new since the last call; undefined when there is nothing. */
  collect(): ProgressBatch | undefined;
  /** What was collected last is saved, and stays so through any crash; `isHeld` is false when it was refused instead. */
  onSaved(isHeld: boolean): void;
}

/** Endpoints saved by one statement. */
const MAX_ENDPOINTS_AT_ONCE = 200;

/**
 * Group commit: while one save is under way, what becomes ready meanwhile gathers for the next, so that the number of
 * commits does not grow with the number of deliveries.
 */
export interface ProgressSaver {
  mark(endpoint: Savable): void;
}

/** `save` repeats by itself until it succeeds, and returns the IDs of the endpoints that were saved. */
export function createProgressSaver(save: (batch: ProgressBatch) => Promise<Set<string>>): ProgressSaver {
  const marked = new Set<Savable>();
  let isSaving = false;

  const saveOnce = async (): Promise<void> => {
    const collected: { endpoint: Savable; batch: ProgressBatch }[] = [];
    for (const endpoint of marked) {
      marked.delete(endpoint);
      const batch = endpoint.collect();
      if (batch !== undefined) collected.push({ endpoint, batch });
      if (collected.length >= MAX_ENDPOINTS_AT_ONCE) break;
    }
    if (collected.length === 0) return;
    const held = await save({
      endpoints: collected.flatMap(({ batch }) => batch.endpoints),
      parked: collected.flatMap(({ batch }) => batch.parked),
      unparked: collected.flatMap(({ batch }) => batch.unparked),
    });
    for (const { endpoint } of collected) endpoint.onSaved(held.has(endpoint.id));
  };

  const saveMarked = async (): Promise<void> => {
    try {
      while (marked.size > 0) await saveOnce();
    } finally {
      // In the same breath as nothing was found marked: whoever marks one a moment later has to start the next save.
      isSaving = false;
    }
  };

  return {
    mark(endpoint) {
      marked.add(endpoint);
      if (isSaving) return;
      isSaving = true;
      // What else finishes in this turn of the event loop goes along.
      setImmediate(() => void saveMarked());
    },
  };
}
