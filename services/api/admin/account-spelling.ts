import { DatabaseError } from 'pg';
import { type AccountColumn, readAccountColumns } from '../../../shared/catalog/account-columns.ts';
import { showTable } from '../../../shared/catalog/parse-table-name.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { accountTextSql } from '../../../shared/values/account-form.ts';

/** The canonical text of an account in exports, the feed and bulk jobs, or why there is none. */
export type Spelling =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'refused'; readonly detail: string };

/** Rows without an account have this one, and the operator uses it for all accounts. */
const NOBODY = '';
const EVERYONE = '*';

/** Data exceptions: a text that the type does not accept, a NUL, a number out of range. */
const DATA_EXCEPTION = /^22/;
/** An enum without the label; a text longer than the type allows. */
const OTHER_REFUSALS: ReadonlySet<string> = new Set(['42704', '54000']);

/** One column of each type: columns of one type give the same text. Read again when the table may have changed. */
export async function readAccountTypes(source: Queryable, catalog: Catalog): Promise<AccountColumn[]> {
  const columns = await readAccountColumns(source, catalog);
  return [...new Map(columns.map((column) => [column.sqlType, column])).values()];
}

/**
 * Lets PostgreSQL write the value in the type of each account column. All types must give the same text,
 * because an account has one text. Without any column, because no table of the catalog exists yet, the value
 * is the text.
 */
export async function spellAccount(
  source: Queryable,
  types: readonly AccountColumn[],
  sourceId: string,
): Promise<Spelling> {
  const spelled: { readonly text: string; readonly column: AccountColumn }[] = [];
  for (const column of types) {
    const text = await spell(source, column, sourceId);
    if (text === undefined) return refused(`is not of the type of ${show(column)}`);
    spelled.push({ text, column });
  }
  const [first] = spelled;
  if (first === undefined) return { kind: 'text', text: sourceId };
  const other = spelled.find(({ text }) => text !== first.text);
  if (other !== undefined) {
    // A text column keeps any spelling. So the text that differs from the given value is the one that fits
    // all columns.
    const common = first.text === sourceId ? other.text : first.text;
    return refused(
      `is "${first.text}" in ${show(first.column)} and "${other.text}" in ${show(other.column)}: ` +
        `give one spelling that is the same in all of them, such as "${common}"`,
    );
  }
  if (first.text === NOBODY) return refused(`is empty in ${show(first.column)}: such rows are nobody's`);
  if (first.text === EVERYONE) return refused('stands for all accounts');
  return { kind: 'text', text: first.text };
}

async function spell(
  source: Queryable,
  column: AccountColumn,
  sourceId: string,
): Promise<string | undefined> {
  const sql = accountTextSql(column.form, `$1::text::${column.sqlType}`);
  try {
    const { rows } = await source.query<{ account: string }>(`select ${sql} as account`, [sourceId]);
    return rows[0]?.account;
  } catch (error) {
    const code = error instanceof DatabaseError ? (error.code ?? '') : '';
    if (DATA_EXCEPTION.test(code) || OTHER_REFUSALS.has(code)) return undefined;
    throw error;
  }
}

function refused(detail: string): Spelling {
  return { kind: 'refused', detail };
}

function show({ resource, column, typeName }: AccountColumn): string {
  return `${showTable(resource.table)}.${column} (${typeName})`;
}
