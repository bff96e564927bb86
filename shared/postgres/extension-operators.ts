import type { Queryable } from './queryable.ts';

/**
 * Puts the schema of citext at the end of the search path. Operators are found by the search path alone: where it lacks that
 * schema, which many products keep extensions in, a citext column is compared as text, and `Acme` is not found as `acme`, nor
 * has a chunk the bounds that the index has. Operators of no other type fall back to another's without a word.
 */
const SEE_CITEXT = `
select set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(n.nspname)), false)
from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'citext' and n.nspname <> all (current_schemas(false))`;

/** For sessions that compare the source's values: to be called before anything else is asked. */
export async function seeExtensionOperators(session: Queryable): Promise<void> {
  await session.query(SEE_CITEXT);
}
