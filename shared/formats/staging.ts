/**
 * What a part's lines are. `json`: each the row as JSON, which is what a JSON Lines file is made of. `texts`: each the row's
 * wire texts as a JSON array, in column order: a JSON null and SQL NULL differ in it, and no number has to be parsed.
 */
export type Staging = 'json' | 'texts';

/** How rows are staged for a format, by its name in a request. A name that is not known fails when the files are made. */
export function stagingOf(formatName: string | null): Staging {
  return formatName === 'csv' || formatName === 'parquet' ? 'texts' : 'json';
}
