import { createDoorbell, type Doorbell } from '../../shared/runtime/doorbell.ts';

/** Wake-ups inside one process. Whoever misses one finds out by itself a little later. */
export interface Bells {
  /** An export waits. */
  readonly exports: Doorbell;
  /** A chunk waits. */
  readonly chunks: Doorbell;
  /** Something about exports in hand has changed: each listener looks at once. Returns the way to stop listening. */
  onChange(listen: () => void): () => void;
  ringChange(): void;
}

export function createBells(): Bells {
  const listeners = new Set<() => void>();
  return {
    exports: createDoorbell(),
    chunks: createDoorbell(),
    onChange(listen) {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    ringChange() {
      for (const listen of listeners) listen();
    },
  };
}
