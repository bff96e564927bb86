import { createHash } from 'node:crypto';
import { ancestorsOf, type Catalog, type ParentAccount, parentOf, type Resource } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../postgres/quote.ts';
import { refusalOf } from './account-columns.ts';
import { catalogFingerprint } from './catalog-fingerprint.ts';
import { readColumnFacts } from './column-facts.ts';
import type { Finding } from './finding.ts';
import { showTable } from './parse-table-name.ts';

/** A resource whose records have the account of the record that they refer to. */
export type ChildResource = Resource & { readonly account: ParentAccount };

export function childrenOf({ resources }: Catalog): readonly ChildResource[] {
  return resources.filter((resource): resource is ChildResource => parentOf(resource) !== undefined);
}

/** Of all paths of the catalog: two catalogs with the same one find the same account for the same record. */
export function pathsFingerprint(catalog: Catalog): string {
  const paths = childrenOf(catalog).map((child) => [child.name, catalogFingerprint(child)]);
  return createHash('sha256').update(JSON.stringify(paths)).digest('base64url').slice(0, 16);
}

/** A foreign key of the source, between two tables of the catalog. */
interface ForeignKey {
  /** Another one once the key was made again, or its triggers were disabled and enabled. */
  readonly version: string;
  readonly resource: string;
  readonly parent: string;
  readonly columns: readonly string[];
  readonly parentColumns: readonly string[];
  /** Valid, enforced, and with its triggers enabled, in each partition too. */
  readonly isEnforced: boolean;
}

const READ_FOREIGN_KEYS = `
select coalesce(json_agg(json_build_object(
  'version', c.oid::text || '/' || coalesce((select md5(string_agg(t.oid || ' ' || t.xmin::text, ',' order by t.oid))
    from pg_trigger t where t.tgconstraint = c.oid), ''),
  'resource', w.resource,
  'parent', w.parent,
  'columns', (select json_agg(a.attname order by k.place) from unnest(c.conkey) with ordinality k (number, place)
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.number),
  'parentColumns', (select json_agg(a.attname order by k.place) from unnest(c.confkey) with ordinality k (number, place)
    join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.number),
  'isEnforced', c.convalidated and coalesce(to_jsonb(c)->>'conenforced', 'true') = 'true'
    and not exists (
      with recursive own as (
        select c.oid union all select i.oid from own join pg_constraint i on i.conparentid = own.oid
      )
      select from own join pg_trigger t on t.tgconstraint = own.oid where t.tgenabled in ('D', 'R'))
) order by c.oid), '[]')::text as facts
from json_to_recordset($1::json) as w (resource text, "schema" text, "table" text, parent text, parent_schema text, parent_table text)
join pg_namespace n on n.nspname = w."schema"
join pg_class r on r.relnamespace = n.oid and r.relname = w."table"
join pg_namespace pn on pn.nspname = w.parent_schema
join pg_class p on p.relnamespace = pn.oid and p.relname = w.parent_table
join pg_constraint c on c.conrelid = r.oid and c.confrelid = p.oid and c.contype = 'f' and c.conparentid = 0`;

async function readForeignKeys(
  db: Queryable,
  children: readonly ChildResource[],
): Promise<readonly ForeignKey[]> {
  const wanted = children.map(({ name, table, account: { parent } }) => ({
    resource: name,
    schema: table.schema,
    table: table.name,
    parent: parent.name,
    parent_schema: parent.table.schema,
    parent_table: parent.table.name,
  }));
  const { rows } = await db.query<{ facts: string }>(READ_FOREIGN_KEYS, [JSON.stringify(wanted)]);
  return JSON.parse(rows[0]?.facts ?? '[]') as ForeignKey[];
}

/** Whether the key is over these columns, each of which refers to the key column at its place. */
function isOf({ resource, columns, parentColumns }: ForeignKey, { name, account }: ChildResource): boolean {
  const { parent } = account;
  return (
    resource === name &&
    columns.length === account.columns.length &&
    account.columns.every((column, at) => parentColumns[columns.indexOf(column)] === parent.key[at])
  );
}

/**
 * The foreign keys that the paths follow, by their versions. A key that was made again, or whose triggers were disabled, may have had no
 * effect for a while, and has another version. Undefined while one is missing.
 */
export async function readPathKeys(db: Queryable, catalog: Catalog): Promise<string | undefined> {
  const children = childrenOf(catalog);
  if (children.length === 0) return '';
  const keys = await readForeignKeys(db, children);
  const found = children.map((child) => keys.find((key) => key.isEnforced && isOf(key, child))?.version);
  return found.includes(undefined) ? undefined : found.join();
}

/**
 * Checks that each path can be followed: along foreign keys that the database enforces, and over columns whose equal values have one
 * text. Without a foreign key a parent could go, or come, while its children stay: they would change their account without a change
 * of their own, and nobody would be told.
 */
export async function checkAccountPaths(db: Queryable, catalog: Catalog): Promise<Finding[]> {
  const children = childrenOf(catalog);
  if (children.length === 0) return [];
  const keys = await readForeignKeys(db, children);
  return [
    ...children.flatMap((child) => checkForeignKey(child, keys)),
    ...(await checkReferenceTypes(db, children)),
  ];
}

function checkForeignKey(child: ChildResource, keys: readonly ForeignKey[]): Finding[] {
  const own = keys.filter((key) => isOf(key, child));
  if (own.some(({ isEnforced }) => isEnforced)) return [];
  const { name, table, account } = child;
  const { columns, parent } = account;
  const list = columns.map(quoteIdent).join(', ');
  const why =
    own.length > 0
      ? 'is not valid, or not enforced'
      : `does not exist, so nothing keeps the records of ${name} from losing their parent unnoticed`;
  const constraint = `ADD FOREIGN KEY (${list}) REFERENCES ${quoteTable(parent.table)} (${parent.key.map(quoteIdent).join(', ')})`;
  return [
    {
      code: 'account_path',
      resource: name,
      message:
        `the foreign key from ${showTable(table)} (${columns.join(', ')}) to ${showTable(parent.table)} (${parent.key.join(', ')}), ` +
        `by which records have the account of ${parent.name}, ${why}. Paths without one are not supported yet. ` +
        (own.length > 0
          ? 'Validate the constraint, and enable its triggers.'
          : `The owner of the table can add it: ALTER TABLE ${quoteTable(table)} ${constraint};`),
    },
  ];
}

async function checkReferenceTypes(db: Queryable, children: readonly ChildResource[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  const pairs = children.flatMap((child) => [
    ...child.account.columns.map((column) => ({ child, of: child as Resource, column })),
    ...child.account.parent.key.map((column) => ({ child, of: child.account.parent, column })),
  ]);
  const facts = await readColumnFacts(
    db,
    pairs.map(({ of, column }) => ({
      resource: of.name,
      schema: of.table.schema,
      table: of.table.name,
      column,
    })),
  );
  const isPadded = (of: Resource, column: string) =>
    facts.find((each) => each.resource === of.name && each.column === column)?.name === 'bpchar';
  for (const child of children) {
    const { columns, parent } = child.account;
    for (const [at, column] of columns.entries()) {
      const key = parent.key[at] ?? '';
      if (isPadded(child, column) === isPadded(parent, key)) continue;
      findings.push({
        code: 'account_path',
        resource: child.name,
        message:
          `only one of ${column} and ${parent.name}.${key} is of type char, whose blanks at the end do not count: ` +
          'a path needs columns of one type.',
      });
    }
  }
  for (const { child, of, column } of pairs) {
    const found = facts.find((each) => each.resource === of.name && each.column === column);
    if (found === undefined) continue;
    const refusal =
      found.name === 'citext' ? 'is citext, whose equal values may have different texts' : refusalOf(found);
    if (refusal === undefined) continue;
    findings.push({
      code: 'account_path',
      resource: child.name,
      message:
        `${of === child ? column : `${of.name}.${column}`}, by which records have the account of ${child.account.parent.name}, ${refusal}. ` +
        'A path needs columns of type text, varchar, char, uuid, integer, numeric or an enum.',
    });
  }
  return findings;
}

/** The resources with descendants, which say whose those are. */
export function parentsOf(catalog: Catalog): ReadonlySet<string> {
  return new Set(childrenOf(catalog).flatMap((child) => ancestorsOf(child).map(({ name }) => name)));
}

/** The resources whose records have their account from a record of this one, over any number of hops. */
export function descendantsOf(catalog: Catalog, name: string): readonly string[] {
  return childrenOf(catalog)
    .filter((child) => ancestorsOf(child).some((ancestor) => ancestor.name === name))
    .map((child) => child.name);
}
