import type { CustomTypesConfig } from 'pg';
import type { Queryable } from './queryable.ts';

/**
 * What every session of ours sets at its start, whatever it is for. Start-up options win over `ALTER ROLE … SET` and
 * `ALTER DATABASE … SET`, which a plain default would not. A role made for web requests often has short limits; a read of a
 * large table and a WAL stream last for hours, and the session that holds an export's snapshot is idle in its transaction all
 * that time. Who needs a limit sets its own. Every name here is known to PostgreSQL 14 and later: an unknown one would refuse
 * the connection (`NEWER_SETTINGS` of `session.ts` holds the others).
 *
 * Not here: `search_path`. Types and operators of extensions are found by the role's own, and no name of ours depends on it;
 * `seeExtensionOperators` adds what it lacks.
 */
const SESSION_SETTINGS: Readonly<Record<string, string>> = {
  client_encoding: 'UTF8',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  // A role's `serializable` default would make plain reads fail with serialization errors.
  default_transaction_isolation: 'read committed',
  // A role made for reading would refuse the heartbeats and the bulk operations; who only reads says so itself.
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  // They change what a statement means.
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  transform_null_equals: 'off',
};

/** What every session that reads rows, or streams them from the WAL, sets beside, so that a value has one text wherever it is read. */
const TEXT_SETTINGS: Readonly<Record<string, string>> = {
  DateStyle: 'ISO,MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '3',
  // `C` prints money as `-$1,234.56` on every server; a country's locale prints its own symbols and separators.
  lc_monetary: 'C',
  // A table whose row security would hide rows is then an error. With `on`, an export would be short and say nothing.
  row_security: 'off',
};

/** The `options` of a `pg` connection. The server splits it at spaces, so those inside a value are escaped. */
const optionsOf = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\\ ]/g, '\\$&')}`)
    .join(' ');

/** Given to every session by `Session` and `ConnectionPool`; later options win. */
export const SESSION_OPTIONS: string = optionsOf(SESSION_SETTINGS);

export const TEXT_SESSION_OPTIONS: string = optionsOf(TEXT_SETTINGS);

const asText = (text: string): string => text;

/**
 * The `types` of a `pg` connection or query that leaves every value as the text PostgreSQL sent. The default parsers
 * lose microseconds, infinities, wide integers and far dates, and take more time than the query itself.
 */
export const rawTypes: CustomTypesConfig = { getTypeParser: () => asText };

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
