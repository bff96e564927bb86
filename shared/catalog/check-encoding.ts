import type { Queryable } from '../postgres/queryable.ts';

/**
 * What an operator has to know of the database's encoding; nothing for UTF8. Files, events and topics are UTF-8, and
 * databases in other encodings may hold text that has no form there.
 */
export async function findEncodingWarnings(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ encoding: string }>(
    `select current_setting('server_encoding') as encoding`,
  );
  const encoding = rows[0]?.encoding;
  if (encoding === undefined || encoding === 'UTF8') return [];
  const move = 'Better: dump the database, and restore it into one with encoding UTF8.';
  if (encoding !== 'SQL_ASCII') {
    return [
      `the database has encoding ${encoding}: an export of a text that has no equivalent in UTF-8 fails with row_unencodable, and a ` +
        `change of one sets its resource aside, with feed.reset, until it is corrected (where a character may take several ` +
        `bytes it ends the feed of every table instead: SQLSTATE 22P05). ${move}`,
    ];
  }
  return [
    'the database has encoding SQL_ASCII, which lets in text that is not UTF-8: an export of such a value fails with row_unencodable, ' +
      `and a change of one sets its resource aside, with feed.reset, until it is corrected. Correct such values first. ${move}`,
  ];
}
