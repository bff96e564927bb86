import { createNotifier, type Notifier } from '../../shared/runtime/notifier.ts';

/** Notifications inside one process. A missed one only delays the next poll. */
export interface Notifiers {
  /** An export is waiting. */
  readonly exports: Notifier;
  /** A chunk is waiting. */
  readonly chunks: Notifier;
  /** Calls `listen` at each change of a running export. Returns a function that removes the listener. */
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
