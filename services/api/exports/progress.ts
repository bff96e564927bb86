import type { ShownProgress } from '../../../shared/control/exports/shown-progress.ts';

/** The state of an export in the control store. */
export interface ProgressFacts {
  readonly status: string;
  /** The source's estimate at submission. */
  readonly rowsEstimated: number | null;
  /** Rows in the chunks cut so far. */
  readonly rowsPlanned: number;
  /** All chunks are cut, so that `rowsPlanned` is exact. */
  readonly isPlanned: boolean;
  readonly rowsExtracted: number;
  readonly rowsWritten: number;
  /** When the snapshot was taken. Undefined while the export waits, because no rate follows from that time. */
  readonly readingSinceMs: number | undefined;
}

export interface Progress {
  /** From 0 to 1. Only a completed export has 1. */
  readonly progress: number;
  readonly etaSeconds: number | null;
}

/** Once more rows are planned than were estimated, the total is taken for twice the planned rows. */
const UNKNOWN_REST = 2;

/** The highest progress before completion, because the files are assembled once all rows are written. */
const MOST_BEFORE_THE_END = 0.99;

/** Below this progress and time, a rate is noise. */
const LEAST_PROGRESS = 0.02;
const LEAST_ELAPSED_MS = 1_000;

/** Below this progress no time left is shown. A wrong one would stay, since it is never raised. */
const LEAST_PROGRESS_FOR_ETA = 0.1;

/** A time left that was shown and is exceeded by more than this is wrong. None is shown then. */
const LATE_FACTOR = 1.5;
const LATE_SECONDS = 10;

/** Steps of the progress that is shown. It is recorded at each step, so polling clients cause at most this number of writes. */
const PROGRESS_STEPS = 200;

/** A time left up to the first number of seconds is rounded up to a multiple of the second. */
const ETA_STEPS = [
  [10, 1],
  [60, 5],
  [600, 30],
  [3_600, 60],
  [Infinity, 300],
] as const;

const FINAL: ReadonlySet<string> = new Set(['completed', 'expired', 'failed', 'cancelled']);

/**
 * A row counts half once it is read, and half once it is in a file. The time left follows from the mean rate
 * since the snapshot. That rate is smooth and needs no memory, so every api process gives the same response.
 */
export function progressOf(facts: ProgressFacts, nowMs: number): Progress {
  if (facts.status === 'completed' || facts.status === 'expired') return { progress: 1, etaSeconds: 0 };
  // Chunks are planned shortly before they are read, so the planned rows are not the total, even if they exceed the estimate.
  const isBeyondEstimate = !facts.isPlanned && facts.rowsPlanned > (facts.rowsEstimated ?? 0);
  const total = facts.isPlanned
    ? facts.rowsPlanned
    : Math.max(facts.rowsEstimated ?? 0, isBeyondEstimate ? facts.rowsPlanned * UNKNOWN_REST : 0);
  const isTotalKnown = facts.isPlanned || facts.rowsEstimated !== null;
  const done = (facts.rowsExtracted + facts.rowsWritten) / 2;
  const share = isTotalKnown && total > 0 ? done / total : 0;
  const progress = Math.min(MOST_BEFORE_THE_END, Math.max(0, share));
  return { progress, etaSeconds: isBeyondEstimate ? null : etaOf(facts, progress, nowMs) };
}

function etaOf(facts: ProgressFacts, progress: number, nowMs: number): number | null {
  if (FINAL.has(facts.status) || facts.status === 'cancelling' || facts.readingSinceMs === undefined)
    return null;
  const elapsedMs = nowMs - facts.readingSinceMs;
  if (elapsedMs < LEAST_ELAPSED_MS || progress < LEAST_PROGRESS) return null;
  return Math.ceil((elapsedMs * (1 - progress)) / progress / 1_000);
}

/**
 * The progress to show after what was shown before. Progress never falls and the time left never grows, even if the
 * export starts again. If the time left is much longer than was shown, none is shown until it fits again.
 */
export function advanceProgress(shown: ShownProgress, { progress, etaSeconds }: Progress): Progress {
  const steps = Math.floor(progress * PROGRESS_STEPS) / PROGRESS_STEPS;
  // The last step is not rounded, so that progress reaches it exactly.
  const next = progress >= MOST_BEFORE_THE_END ? progress : steps;
  return {
    progress: Math.max(shown.progress, next),
    etaSeconds: progress < LEAST_PROGRESS_FOR_ETA ? null : advanceEta(shown.etaSeconds, etaSeconds),
  };
}

function advanceEta(shown: number | null, seconds: number | null): number | null {
  if (seconds === null) return null;
  const [, step] = ETA_STEPS.find(([most]) => seconds <= most) ?? [Infinity, 1];
  const next = Math.ceil(seconds / step) * step;
  if (shown === null) return next;
  return seconds > shown * LATE_FACTOR + LATE_SECONDS ? null : Math.min(shown, next);
}
