import { retryAfterMs } from '../../../shared/domain/retry-after.ts';
import type { SendOutcome } from '../send/send.ts';

/**
 * What an outcome means. `throttled`: the endpoint asks for less, which says nothing of the event.
 * `gone`: the owner wants no events any more. `aborted`: we broke it off ourselves, so nothing was learnt.
 */
export type Verdict =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'failed' }
  | { readonly kind: 'throttled'; readonly restMs: number | undefined }
  | { readonly kind: 'gone' }
  | { readonly kind: 'aborted' };

const THROTTLING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export function judge(outcome: SendOutcome, nowMs: number): Verdict {
  if (outcome.kind === 'failed') return { kind: outcome.errorClass === 'aborted' ? 'aborted' : 'failed' };
  const { status, retryAfter } = outcome;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  if (status === 410) return { kind: 'gone' };
  if (THROTTLING.has(status)) return { kind: 'throttled', restMs: retryAfterMs(retryAfter, nowMs) };
  return { kind: 'failed' };
}
