import { createNotifier, type Notifier } from '../../shared/runtime/notifier.ts';

/** Wake-ups inside one process. Whoever misses one finds out by itself a little later. */
export interface Notifiers {
  /** An export waits. */
  readonly exports: Notifier;
  /** A chunk waits. */
  readonly chunks: Notifier;
  /** Something about exports in hand has changed: each listener looks at once. Returns the way to stop listening. */
  onChange(listen: () => void): () => void;
  notifyChange(): void;
}

export function createNotifiers(): Notifiers {
  const listeners = new Set<() => void>();
  return {
    exports: createNotifier(),
    chunks: createNotifier(),
    onChange(listen) {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    notifyChange() {
      for (const listen of listeners) listen();
    },
  };
}
