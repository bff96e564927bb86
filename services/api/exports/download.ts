/** The request headers that select what is sent of a file; RFC 9110, sections 13 and 14. */
export interface DownloadConditions {
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

export type DownloadPlan =
  | { readonly kind: 'whole' }
  /** Both ends inclusive. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'not_modified' }
  | { readonly kind: 'precondition_failed' }
  | { readonly kind: 'not_satisfiable' };

/** Evaluates the headers in the order of RFC 9110, 13.2.2. A request for several ranges gets the whole file. */
export function planDownload(
  { range, ifRange, ifMatch, ifNoneMatch }: DownloadConditions,
  etag: string,
  bytes: number,
): DownloadPlan {
  if (ifMatch !== undefined && !matches(ifMatch, etag, 'strong')) return { kind: 'precondition_failed' };
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag, 'weak')) return { kind: 'not_modified' };
  // A date in If-Range never matches, because responses have no Last-Modified.
  if (range === undefined || (ifRange !== undefined && ifRange.trim() !== etag)) return { kind: 'whole' };
  return planRange(range, bytes);
}

function planRange(range: string, bytes: number): DownloadPlan {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(range);
  const [, first, last] = match ?? [];
  // The RFC requires that an unknown range is ignored.
  if (first === undefined || last === undefined || (first === '' && last === '')) return { kind: 'whole' };
  if (first === '') {
    const length = Math.min(Number(last), bytes);
    return length === 0
      ? { kind: 'not_satisfiable' }
      : { kind: 'part', start: bytes - length, end: bytes - 1 };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  if (start >= bytes) return { kind: 'not_satisfiable' };
  return { kind: 'part', start, end: last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1) };
}

function matches(header: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (header.trim() === '*') return true;
  return header
    .split(',')
    .map((text) => text.trim())
    .some((text) => text === etag || (comparison === 'weak' && text === `W/${etag}`));
}
