import { type TypedKeyColumn, typedValueSql } from '../as-of/as-of-queries.ts';
import type { SqlQuery } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';

/** Values of the key columns, in key order. */
export type KeyTexts = readonly string[];

/** `wire`: as in files and events. `printed`: as PostgreSQL prints them. */
export type KeyForm = 'wire' | 'printed';

/** The place of one of the given keys. */
export interface KeyAmong {
  /** Its index in `asked`. */
  readonly index: number;
  /** Number of fixed keys that are smaller. */
  readonly before: number;
}

/**
 * Compares keys by the order of the key's columns, which only the server knows. Reads no table.
 *
 * @param fixed in key order
 */
export function keysAmongQuery(
  key: readonly TypedKeyColumn[],
  fixed: readonly KeyTexts[],
  fixedForm: KeyForm,
  asked: readonly KeyTexts[],
): SqlQuery {
  const values: (readonly string[])[] = [];
  const arrays = (keys: readonly KeyTexts[]) =>
    key.map((_, at) => `$${values.push(keys.map((texts) => texts[at] ?? ''))}::text[]`).join(', ');
  const names = key.map((_, at) => `c${at}`).join(', ');
  const typed = (form: KeyForm) =>
    key.map((column, at) => `${typedValueSql(column, `u.c${at}`, form)} as k${at}`).join(', ');
  const order = key.map((_, at) => `k${at}`).join(', ');
  return {
    text: `select at::text, before::text from (
  select m.at, m.is_fixed, count(*) filter (where m.is_fixed) over w as before, row_number() over w as place
  from (
    select ${typed(fixedForm)}, true as is_fixed, u.at from unnest(${arrays(fixed)}) with ordinality as u(${names}, at)
    union all
    select ${typed('wire')}, false, u.at from unnest(${arrays(asked)}) with ordinality as u(${names}, at)
  ) m
  window w as (order by ${order}, is_fixed, at rows between unbounded preceding and current row)
) o where not is_fixed order by place`,
    values,
  };
}

/** @returns the places, in key order */
export async function findKeysAmong(
  session: Pick<SourceSession, 'query'>,
  ...query: Parameters<typeof keysAmongQuery>
): Promise<KeyAmong[]> {
  const { text, values } = keysAmongQuery(...query);
  const { rows } = await session.query(text, values);
  return rows.map(({ at, before }) => ({ index: Number(at) - 1, before: Number(before) }));
}
