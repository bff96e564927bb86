/** Lets one piece of work through at a time, in the order they came. */
export interface Gate {
  /** @throws what the work throws; the signal's reason when it aborts before it is this one's turn */
  pass<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

export function createGate(): Gate {
  let latest: Promise<void> = Promise.resolve();
  return {
    async pass(signal, work) {
      const before = latest;
      const { promise: left, resolve: leave } = Promise.withResolvers<void>();
      // Giving up early opens no way for the next one: it still waits for those before.
      latest = before.then(() => left);
      try {
        await orAborted(before, signal);
        return await work();
      } finally {
        leave();
      }
    },
  };
}

async function orAborted(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([turn, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
