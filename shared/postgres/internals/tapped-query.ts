import type pg from 'pg';
import { tapDataRows } from './data-row-tap.ts';

/** As `DataRowQuery` of the extractor: the rows of a query where their bytes stand, before the library makes objects of them. */
export function tapQuery(
  client: pg.Client,
  { text, values }: { readonly text: string; readonly values: readonly unknown[] },
  onRow: (bytes: Buffer, start: number, end: number) => void,
) {
  const tap = tapDataRows(client.connection.stream, onRow);
  const done = client.query(text, [...values]).then(
    () => tap.release(),
    (error: unknown) => {
      tap.release();
      throw error;
    },
  );
  return { done, pause: tap.pause, resume: tap.resume, close: tap.close };
}
