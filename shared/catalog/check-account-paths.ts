import { createHash } from 'node:crypto';
import {
  accountColumnsOf,
  ancestorsOf,
  type Catalog,
  ownerColumns,
  type ParentAccount,
  parentOf,
  type Resource,
} from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { refusalOf } from './account-columns.ts';
import { catalogFingerprint } from './catalog-fingerprint.ts';
import { type ColumnFacts, readColumnFacts } from './column-facts.ts';
import type { Finding } from './finding.ts';

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

/**
 * Checks that each path can be followed: over columns whose equal values have one text, so that the feed finds the parent that a join
 * finds. A foreign key constraint is not needed.
 */
export async function checkAccountPaths(db: Queryable, catalog: Catalog): Promise<Finding[]> {
  const children = childrenOf(catalog);
  return children.length === 0 ? [] : checkReferenceTypes(db, children);
}

/** Types whose values compare by `=` with each other, each by its text. Blanks at the end of a char do not count. */
function familyOf({ name, schema, kind }: ColumnFacts): string {
  if (kind === 'e' || schema !== 'pg_catalog') return `${schema}.${name}`;
  if (['int2', 'int4', 'int8', 'numeric'].includes(name)) return 'number';
  return name === 'varchar' ? 'text' : name;
}

/** A column of a resource's table. */
interface PathColumn {
  readonly of: Resource;
  readonly column: string;
}

async function checkReferenceTypes(db: Queryable, children: readonly ChildResource[]): Promise<Finding[]> {
  const wanted = children.flatMap((child): PathColumn[] => [
    ...ownerColumns(child).map((column) => ({ of: child, column })),
    ...child.account.parents.flatMap(({ resource }) =>
      resource.key.map((column) => ({ of: resource, column })),
    ),
    ...accountColumnsOf(child).map(({ resource, column }) => ({ of: resource, column })),
  ]);
  const facts = await readColumnFacts(
    db,
    [...new Map(wanted.map((each) => [`${each.of.name} ${each.column}`, each])).values()].map(
      ({ of: { name, table }, column }) => ({
        resource: name,
        schema: table.schema,
        table: table.name,
        column,
      }),
    ),
  );
  const factOf = ({ of, column }: PathColumn) =>
    facts.find((each) => each.resource === of.name && each.column === column);
  return children.flatMap((child) => {
    const messages = [
      ...child.account.parents.flatMap(({ resource }) => differences(child, resource, factOf)),
      ...unlikeTexts(child, factOf),
      ...unlikeAccounts(child, factOf),
    ];
    return messages.map((message) => ({ code: 'account_path' as const, resource: child.name, message }));
  });
}

type FactOf = (column: PathColumn) => ColumnFacts | undefined;

/** References of another type than the parent's key. */
function differences(child: ChildResource, parent: Resource, factOf: FactOf): string[] {
  return child.account.columns.flatMap((column, at) => {
    const key = parent.key[at] ?? '';
    const [own, other] = [factOf({ of: child, column }), factOf({ of: parent, column: key })];
    if (own === undefined || other === undefined || familyOf(own) === familyOf(other)) return [];
    return [
      `${column} is ${own.typeName}, and ${parent.name}.${key}, which it refers to, is ${other.typeName}: ` +
        'a path needs columns whose values PostgreSQL compares by `=`, and finds equal exactly if their texts are.',
    ];
  });
}

/** References and keys whose equal values may have different texts, which a join finds and the feed does not. */
function unlikeTexts(child: ChildResource, factOf: FactOf): string[] {
  const { columns, parents } = child.account;
  const names = parents.map(({ resource }) => resource.name).join(', ');
  const used: PathColumn[] = [
    ...columns.map((column) => ({ of: child, column })),
    ...parents.flatMap(({ resource }) => resource.key.map((column) => ({ of: resource, column }))),
  ];
  return used.flatMap((column) => {
    const found = factOf(column);
    const refusal =
      found?.name === 'citext'
        ? 'is citext, whose equal values may have different texts'
        : found && refusalOf(found);
    if (refusal === undefined) return [];
    const name = column.of === child ? column.column : `${column.of.name}.${column.column}`;
    return [
      `${name}, by which records have the account of ${names}, ${refusal}. ` +
        'A path needs columns of type text, varchar, char, uuid, integer, numeric or an enum, with a deterministic collation: ' +
        'refer to another unique key, or give the table an account column of its own.',
    ];
  });
}

/** Several kinds of parents whose accounts are not of one type. */
function unlikeAccounts(child: ChildResource, factOf: FactOf): string[] {
  const ends = accountColumnsOf(child).map(({ resource, column }) => ({ of: resource, column }));
  const types = new Map(
    ends.flatMap((end) => {
      const found = factOf(end);
      return found === undefined
        ? []
        : [[`${found.schema}.${found.name}`, `${end.of.name}.${end.column} (${found.typeName})`]];
    }),
  );
  if (types.size < 2) return [];
  return [
    `leads to account columns of different types: ${[...types.values()].join(', ')}. Give them one type.`,
  ];
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
