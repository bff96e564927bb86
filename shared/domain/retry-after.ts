/** A receiver may ask for a rest of at most this long: a longer one would look like a lost endpoint. */
export const MAX_RETRY_AFTER_MS = 60 * 60 * 1_000;

/**
 * The rest that a `Retry-After` header asks for, in milliseconds: seconds or an HTTP date (RFC 9110, 10.2.3),
 * clamped to an hour.
 *
 * @returns undefined when the header is absent, unreadable or in the past
 */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  const wait = /^[0-9]+$/.test(text) ? Number(text) * 1_000 : httpDateMs(text) - nowMs;
  return wait > 0 ? Math.min(wait, MAX_RETRY_AFTER_MS) : undefined;
}

/** Only the date forms of HTTP: `Date.parse` alone would take "-5" for a year. The oldest form names no zone and means UTC. */
function httpDateMs(text: string): number {
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return Number.NaN;
  return Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
}
