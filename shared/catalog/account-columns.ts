import type { Catalog, Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { quoteIdent } from '../postgres/quote.ts';
import { type AccountForm, accountForm } from '../values/account-form.ts';
import { type ColumnFacts, readColumnFacts } from './column-facts.ts';
import type { Finding } from './finding.ts';

/** The account column of one resource, as far as it decides which texts mean the same account. */
export interface AccountColumn {
  readonly resource: Resource;
  readonly column: string;
  /** As `format_type` shows it: `numeric(10,2)`. */
  readonly typeName: string;
  /** To be used in a cast: the type under all domains, without length and scale, so that a cast cuts and rounds nothing. */
  readonly sqlType: string;
  readonly form: AccountForm;
  /** Why equal values can't be told by their text; undefined where they can. */
  readonly refusal: string | undefined;
}

/** Types of `pg_catalog` whose equal values have one text, by nature or after `accountText`. */
const KNOWN_TYPES: ReadonlySet<string> = new Set([
  'bpchar',
  'int2',
  'int4',
  'int8',
  'numeric',
  'oid',
  'text',
  'uuid',
  'varchar',
]);

/** The account columns of the catalog's tables, one a resource. A table or column that does not exist is left out. */
export async function readAccountColumns(db: Queryable, { resources }: Catalog): Promise<AccountColumn[]> {
  const wanted = resources.flatMap(({ name, table, account }) =>
    // What has the account of its parent has the parent's column.
    typeof account === 'string'
      ? [{ resource: name, schema: table.schema, table: table.name, column: account }]
      : [],
  );
  const facts = await readColumnFacts(db, wanted);
  return resources.flatMap((resource) => {
    const found = facts.find((each) => each.resource === resource.name);
    if (found === undefined) return [];
    const { typeName, schema, name, column } = found;
    return {
      resource,
      column,
      typeName,
      sqlType: `${quoteIdent(schema)}.${quoteIdent(name)}`,
      form: accountForm(schema === 'pg_catalog' ? name : `${schema}.${name}`),
      refusal: refusalOf(found),
    };
  });
}

/** Why equal values of a column can't be told by their text; undefined where they can. */
export function refusalOf(facts: ColumnFacts): string | undefined {
  const { schema, name, kind, typeName, canUse, isDeterministic } = facts;
  // Its operators would not be found, and the column be compared as text.
  if (!canUse) return `is ${typeName}, in the schema ${schema} that this role may not use`;
  // citext compares by lower case, whatever the column's collation.
  if (name === 'citext' && kind === 'b') return undefined;
  if (!isDeterministic) return 'has a nondeterministic collation, by which texts are equal that differ';
  if (kind === 'e' || (schema === 'pg_catalog' && KNOWN_TYPES.has(name))) return undefined;
  return `is ${typeName}, whose equal values may have different texts`;
}

/**
 * Refuses account columns whose values no text stands for: exports would find an account's rows by PostgreSQL's `=`, and the
 * feed, which has texts, would miss some of them without a word.
 */
export function checkAccounts(columns: readonly AccountColumn[]): Finding[] {
  return columns.flatMap(({ resource, column, refusal }) =>
    refusal === undefined
      ? []
      : [
          {
            code: 'account_type',
            resource: resource.name,
            message:
              `${column} (account) ${refusal}, so that the feed could miss rows which exports have. ` +
              'Name a column of type text, varchar, char, citext, uuid, integer, numeric or an enum, with a deterministic collation.',
          } as const,
        ],
  );
}
