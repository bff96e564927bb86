/**
 * How the values of an account column become the account's canonical text. Two values have the same text exactly if they are
 * equal by PostgreSQL's `=`:
 *
 * - `as_printed`: equal values are printed alike (integers, uuid, text, enums).
 * - `without_scale`: numeric, where 77 and 77.00 are equal.
 * - `without_padding`: char(n), where blanks at the end do not count.
 * - `lower_case`: citext, which compares what `lower` gives in the database's locale. Only PostgreSQL knows that locale.
 */
export type AccountForm = 'as_printed' | 'without_scale' | 'without_padding' | 'lower_case';

/** The form of a column's type by its `pgName`; a domain counts as its base. `catalog check` refuses types without a form. */
export function accountForm(pgName: string): AccountForm {
  if (/^numeric(\(|$)/.test(pgName)) return 'without_scale';
  if (pgName === 'bpchar') return 'without_padding';
  // An extension's type may live in any schema.
  return pgName.endsWith('.citext') ? 'lower_case' : 'as_printed';
}

/** Texts that `lower` does not change in any locale. */
const WITHOUT_CASE = /^[^A-Z\u0080-\uffff]*$/;

/**
 * The account's text, from the text that PostgreSQL prints for the column's value.
 *
 * @returns undefined if only PostgreSQL can decide
 */
export function accountText(form: AccountForm, pgText: string): string | undefined {
  switch (form) {
    case 'as_printed':
      return pgText;
    case 'without_scale':
      return pgText.includes('.') ? pgText.replace(/\.?0+$/, '') : pgText;
    case 'without_padding':
      return pgText.replace(/ +$/, '');
    case 'lower_case':
      return WITHOUT_CASE.test(pgText) ? pgText : undefined;
  }
}

/** The same in SQL, from an expression of the column's type. */
export function accountTextSql(form: AccountForm, value: string): string {
  switch (form) {
    case 'as_printed':
    // A cast of char(n) to text removes the padding.
    case 'without_padding':
      return `(${value})::text`;
    case 'without_scale':
      return `pg_catalog.trim_scale(${value})::text`;
    case 'lower_case':
      return `pg_catalog.lower((${value})::text)`;
  }
}
