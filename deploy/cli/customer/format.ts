const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
const BAR_SIGNS = 20;

/** `12,345` */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** `1.5 MB` */
export function formatBytes(bytes: number): string {
  const power = bytes < 1_000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1_000 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${UNITS[power]}`;
}

/** `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h` */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [small, units] =
    whole < 60
      ? [whole, ['s']]
      : whole < 3_600
        ? [whole, ['min', 's']]
        : whole < 86_400
          ? [Math.round(whole / 60), ['h', 'min']]
          : [Math.round(whole / 3_600), ['d', 'h']];
  if (units.length === 1) return `${small} s`;
  const base = units[0] === 'd' ? 24 : 60;
  const [large, rest] = [Math.floor(small / base), small % base];
  return rest === 0 ? `${large} ${units[0]}` : `${large} ${units[0]} ${rest} ${units[1]}`;
}

/** A bar with what is done and what is left: `██████░░░░  30 %, 2,697 of 8,991 rows, 12 s left` */
export function formatProgress(share: number, done: string, etaSeconds: number | null | undefined): string {
  const bounded = Math.min(1, Math.max(0, share));
  const full = Math.floor(bounded * BAR_SIGNS);
  const bar = '█'.repeat(full) + '░'.repeat(BAR_SIGNS - full);
  const percent = `${Math.floor(bounded * 100)} %`.padStart(5);
  const eta = etaSeconds === null || etaSeconds === undefined ? [] : [`${formatSeconds(etaSeconds)} left`];
  return [`${bar} ${percent}`, done, ...eta].filter((text) => text !== '').join(', ');
}

/** The speed is that of the last seconds, so that a part that was there before does not count for long. */
const SPEED_WINDOW_MS = 10_000;

/** Estimates how many seconds the rest takes. Undefined until something moves. */
export function createEstimate(now: () => number): (done: number, total: number) => number | undefined {
  let samples: { readonly atMs: number; readonly done: number }[] = [];
  return (done, total) => {
    const atMs = now();
    samples = [...samples.filter((each) => each.atMs > atMs - SPEED_WINDOW_MS), { atMs, done }];
    const first = samples[0] ?? { atMs, done };
    return done > first.done
      ? ((total - done) * (atMs - first.atMs)) / (done - first.done) / 1_000
      : undefined;
  };
}

/** Rows with aligned columns. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** One line a fact; those without a value are left out. */
export function formatFacts(facts: Readonly<Record<string, string | null | undefined>>): string[] {
  const rows = Object.entries(facts).filter(
    ([, value]) => value !== null && value !== undefined && value !== '',
  );
  return formatTable(rows.map(([name, value]) => [name, value ?? '']));
}

const CONTROL_SIGNS = /\p{Cc}/gu;

/** Text of others on a terminal: without signs that would control it. */
export function printable(text: string): string {
  return text.replaceAll(CONTROL_SIGNS, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
