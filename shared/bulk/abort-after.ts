/** A signal that aborts a while after another one did; disposing of it ends the wait. */
export function abortAfter(
  first: AbortSignal,
  delayMs: number,
): Disposable & { readonly signal: AbortSignal } {
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = setTimeout(() => over.abort(), delayMs);
  };
  if (first.aborted) start();
  else first.addEventListener('abort', start, { once: true });
  return {
    signal: over.signal,
    [Symbol.dispose]() {
      first.removeEventListener('abort', start);
      clearTimeout(timer);
    },
  };
}
