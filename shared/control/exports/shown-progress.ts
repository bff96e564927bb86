import type { Queryable } from '../../postgres/queryable.ts';

/** The progress of a running export that customers have seen. */
export interface ShownProgress {
  /** From 0 to 1: the highest value shown. */
  readonly progress: number;
  /** The lowest value shown; null while none was. */
  readonly etaSeconds: number | null;
}

/**
 * Skips a row that is locked: a request never waits for a chunk that is being reported. The next request records it.
 */
const RECORD = `
update exports set shown_progress = greatest(shown_progress, $2::float8), shown_eta_seconds = least(shown_eta_seconds, $3::int)
where id in (select id from exports where id = $1 and status in ('running', 'cancelling') for no key update skip locked)
returning shown_progress as progress, shown_eta_seconds as "etaSeconds"`;

/**
 * Records the progress that is about to be shown.
 *
 * @returns what to show: of two simultaneous requests the higher progress; undefined when nothing was recorded
 */
export async function recordShownProgress(
  db: Queryable,
  exportId: string,
  { progress, etaSeconds }: ShownProgress,
): Promise<ShownProgress | undefined> {
  const { rows } = await db.query<ShownProgress>({
    name: 'record_shown_progress',
    text: RECORD,
    values: [exportId, progress, etaSeconds],
  });
  return rows[0];
}
