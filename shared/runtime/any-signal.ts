/**
 * A signal that aborts with the first of several, for the reason of that one. Disposing it lets go of them: it then aborts no more.
 *
 * `AbortSignal.any` is not for a process that runs for months. Node keeps each such signal for as long as it has a listener and has
 * not aborted, with all that the listener reaches: the lease of a chunk held the keys of its rows and its record batches for ever.
 */
export function anySignal(
  signals: readonly (AbortSignal | undefined)[],
): Disposable & { readonly signal: AbortSignal } {
  const any = new AbortController();
  const sources = signals.filter((source) => source !== undefined);
  const letGo = () => {
    for (const source of sources) source.removeEventListener('abort', onAbort);
  };
  function onAbort(this: AbortSignal) {
    letGo();
    any.abort(this.reason);
  }
  const aborted = sources.find((source) => source.aborted);
  if (aborted !== undefined) any.abort(aborted.reason);
  else for (const source of sources) source.addEventListener('abort', onAbort);
  return { signal: any.signal, [Symbol.dispose]: letGo };
}
