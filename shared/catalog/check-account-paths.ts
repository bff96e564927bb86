import { createHash } from 'node:crypto';
import { ancestorsOf, type Catalog, type ParentAccount, parentOf, type Resource } from '../domain/catalog.ts';
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
  const factOf = (of: Resource, column: string) =>
    facts.find((each) => each.resource === of.name && each.column === column);
  for (const child of children) {
    const { columns, parent } = child.account;
    for (const [at, column] of columns.entries()) {
      const key = parent.key[at] ?? '';
      const [own, other] = [factOf(child, column), factOf(parent, key)];
      if (own === undefined || other === undefined || familyOf(own) === familyOf(other)) continue;
      findings.push({
        code: 'account_path',
        resource: child.name,
        message:
          `${column} is ${own.typeName}, and ${parent.name}.${key}, which it refers to, is ${other.typeName}: ` +
          'a path needs columns whose values PostgreSQL compares by `=`, and finds equal exactly if their texts are.',
      });
    }
  }
  for (const { child, of, column } of pairs) {
    const found = factOf(of, column);
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
