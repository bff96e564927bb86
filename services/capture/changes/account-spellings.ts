import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { accountTextSql } from '../../../shared/values/account-form.ts';

/** Spellings of citext accounts, as PostgreSQL folds them. */
export interface AccountSpellings {
  /** The account's canonical text; undefined until it was learned. */
  of(pgText: string): string | undefined;
  learn(pgTexts: readonly string[]): Promise<void>;
}

/** A product has few accounts compared with rows; this bounds the memory of a column that holds something else. */
const MAX_KEPT = 10_000;

/** Queries each spelling once, because `lower` depends on the database's locale. */
export function createAccountSpellings(source: Queryable): AccountSpellings {
  const kept = new Map<string, string>();
  const text = `select u.place::text, ${accountTextSql('lower_case', 'u.spelling')} as account
    from unnest($1::text[]) with ordinality as u (spelling, place)`;
  return {
    of: (pgText) => kept.get(pgText),
    async learn(pgTexts) {
      const { rows } = await source.query<{ place: string; account: string }>(text, [pgTexts]);
      if (kept.size + rows.length > MAX_KEPT) kept.clear();
      for (const { place, account } of rows) kept.set(pgTexts[Number(place) - 1] ?? '', account);
    },
  };
}
