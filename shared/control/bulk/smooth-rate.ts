/** What the rate goes on from: items a second, and when how many were processed. */
export interface RateState {
  readonly rate: number | null;
  readonly atMs: number;
  readonly processed: number;
}

/** After a change of pace, the old one weighs 2 % a minute later. */
const TIME_CONSTANT_MS = 15_000;

/** Reports that come closer together are taken as one: over so short a time a rate is noise. */
const LEAST_STEP_MS = 1_000;

/** The exponentially smoothed rate after a report. Weights follow the time passed, so that the number of workers does not matter. */
export function smoothRate(state: RateState, nowMs: number, processed: number): RateState {
  const elapsedMs = nowMs - state.atMs;
  if (elapsedMs < LEAST_STEP_MS) return state;
  const recent = ((processed - state.processed) * 1_000) / elapsedMs;
  // Nothing done yet is no rate; the first one is measured from the start, or it would be some time until it is forgotten.
  if (state.rate === null && recent === 0) return state;
  const weight = 1 - Math.exp(-elapsedMs / TIME_CONSTANT_MS);
  const rate = state.rate === null ? recent : state.rate + weight * (recent - state.rate);
  return { rate, atMs: nowMs, processed };
}
