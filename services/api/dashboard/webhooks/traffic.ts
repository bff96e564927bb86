/** How far back a chart shows deliveries, and into how many columns it groups them. */
export const RANGES = {
  hour: { seconds: 3_600, columnSeconds: 300 },
  day: { seconds: 86_400, columnSeconds: 1_800 },
  week: { seconds: 604_800, columnSeconds: 10_800 },
} as const;

export type Range = keyof typeof RANGES;

/** What a column of the chart stands for. */
export interface Traffic {
  /** Epoch milliseconds of its start. */
  readonly atMs: number;
  readonly delivered: number;
  readonly failed: number;
}

interface Bucket {
  /** RFC 3339. */
  readonly at: string;
  readonly events: { readonly delivered: number; readonly failed: number };
}

/** The time that a range covers: whole columns, of which the last holds this moment. In epoch milliseconds. */
export function spanOf(range: Range, nowMs: number): { readonly fromMs: number; readonly toMs: number } {
  const { seconds, columnSeconds } = RANGES[range];
  const columnMs = columnSeconds * 1_000;
  const toMs = (Math.floor(nowMs / columnMs) + 1) * columnMs;
  return { fromMs: toMs - seconds * 1_000, toMs };
}

/** Adds the buckets of the statistics up to columns, also those without a delivery. Others are left out. */
export function groupTraffic(buckets: readonly Bucket[], range: Range, nowMs: number): Traffic[] {
  const { fromMs, toMs } = spanOf(range, nowMs);
  const columnMs = RANGES[range].columnSeconds * 1_000;
  const columns = Array.from({ length: (toMs - fromMs) / columnMs }, (_, index) => ({
    atMs: fromMs + index * columnMs,
    delivered: 0,
    failed: 0,
  }));
  for (const { at, events } of buckets) {
    const column = columns[Math.floor((Date.parse(at) - fromMs) / columnMs)];
    if (column === undefined) continue;
    column.delivered += events.delivered;
    column.failed += events.failed;
  }
  return columns;
}

/** The end of an axis that starts at 0: even, and 2, 4, 6, 10 or 20 times a power of ten, so that its middle is a whole number. */
export function axisEnd(highest: number): number {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, highest))));
  const step = [2, 4, 6, 10, 20].find((each) => each * power >= highest) ?? 20;
  return step * power;
}
