import type { CustomTypesConfig } from 'pg';

/**
 * What every session that reads rows, or streams them from the WAL, sets at its start, so that a value has one text
 * wherever it is read. Start-up options win over `ALTER ROLE … SET` and `ALTER DATABASE … SET`, which a plain default
 * would not. Every name here is known to PostgreSQL 14 and later: an unknown one would refuse the connection.
 */
const TEXT_SESSION_SETTINGS: Readonly<Record<string, string>> = {
  client_encoding: 'UTF8',
  DateStyle: 'ISO,MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '3',
  // `C` prints money as `-$1,234.56` on every server; a country's locale prints its own symbols and separators.
  lc_monetary: 'C',
  // A role made for web requests often has short limits; one read of a large table and a WAL stream last for hours,
  // and the session that holds an export's snapshot is idle in its transaction all that time.
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  // A role's `serializable` default would make plain reads fail with serialization errors.
  default_transaction_isolation: 'read committed',
  // A table whose row security would hide rows is then an error. With `on`, an export would be short and say nothing.
  row_security: 'off',
};

/** The `options` of a `pg` connection. The server splits it at spaces, so those inside a value are escaped. */
export const TEXT_SESSION_OPTIONS: string = Object.entries(TEXT_SESSION_SETTINGS)
  .map(([name, value]) => `-c ${name}=${value.replace(/[\\ ]/g, '\\$&')}`)
  .join(' ');

const asText = (text: string): string => text;

/**
 * The `types` of a `pg` connection or query that leaves every value as the text PostgreSQL sent. The default parsers
 * lose microseconds, infinities, wide integers and far dates, and take more time than the query itself.
 */
export const rawTypes: CustomTypesConfig = { getTypeParser: () => asText };
