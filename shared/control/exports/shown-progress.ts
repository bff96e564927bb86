import type { Queryable } from '../../postgres/queryable.ts';

/** What customers were shown of a running export. */
export interface ShownProgress {
  /** From 0 to 1: the most that was shown. */
  readonly progress: number;
  /** The least that was shown; null while none was. */
  readonly etaSeconds: number | null;
}

/**
 * A row that another holds is left alone: a request never waits for a chunk that is reported at this moment, and what it
 * would have recorded the next one does.
 */
const RECORD = `
update exports set shown_progress = greatest(shown_progress, $2::float8), shown_eta_seconds = least(shown_eta_seconds, $3::int)
where id in (select id from exports where id = $1 and status in ('running', 'cancelling') for no key update skip locked)
returning shown_progress as progress, shown_eta_seconds as "etaSeconds"`;

/**
 * Records what is about to be shown.
 *
 * @returns what is to be shown: of two requests at once the one that is further; undefined when nothing was recorded
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
