/** An event that comes this soon after its commit did not wait behind others: the receiver has caught up. */
const CAUGHT_UP_MS = 1_000;

/** Of a receiver that starts behind: when it had caught up, and how long changes take from then on. */
export interface DelayWatch {
  see(committedAtMs: number, receivedAtMs: number): void;
  /** What is seen later counts no more. */
  stop(): void;
  /** Half a sentence about it. */
  text(): string;
}

export function createDelayWatch(startedAtMs: number): DelayWatch {
  let caughtUpAtMs: number | undefined;
  let isStopped = false;
  const delaysMs: number[] = [];
  return {
    see(committedAtMs, receivedAtMs) {
      const delayMs = receivedAtMs - committedAtMs;
      if (isStopped) return;
      if (delayMs < CAUGHT_UP_MS) caughtUpAtMs ??= receivedAtMs;
      if (caughtUpAtMs !== undefined) delaysMs.push(delayMs);
    },
    stop() {
      isStopped = true;
    },
    text() {
      if (caughtUpAtMs === undefined) return 'did not catch up before the bulk jobs started';
      const seconds = ((caughtUpAtMs - startedAtMs) / 1000).toFixed(1);
      return `caught up in ${seconds} s; after that, commit to webhook ${latencyLine(delaysMs)}`;
    },
  };
}

/** `p50 8.1 ms, p90 …, p99 …, longest …` of durations in milliseconds. */
export function latencyLine(durationsMs: readonly number[]): string {
  const sorted = durationsMs.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, longest ${(sorted.at(-1) ?? 0).toFixed(1)} ms`;
}
