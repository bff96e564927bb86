import { createHash } from 'node:crypto';
import { parentOf, type Resource } from '../domain/catalog.ts';
import { plainFieldOf } from '../domain/public-field.ts';
import { whereSql } from './where-sql.ts';

/**
 * What of a resource's entry in the catalog decides which records it has, whose they are and what is in them. Two services with the
 * same fingerprint tell the same of a table. Of what `fields` are made of it is silent: the table's form tells that. Eight characters tell any two apart that a catalog will ever have.
 */
export function catalogFingerprint(resource: Resource): string {
  const { table, key, account, softDelete, expose, hide, fields } = resource;
  const parent = parentOf(resource);
  // A column may be renamed as long as customers see the same.
  const nameOf = (column: string) => (fields && plainFieldOf(fields, column)?.name) ?? column;
  const facts = [
    table.schema,
    table.name,
    key.map(nameOf),
    parent === undefined
      ? typeof account === 'string'
        ? nameOf(account)
        : account
      : [
          parent.columns.map(nameOf),
          parent.typeColumn === undefined ? null : nameOf(parent.typeColumn),
          parent.parents.map((each) => [each.type ?? null, catalogFingerprint(each.resource)]),
        ],
    softDelete === undefined ? null : nameOf(softDelete),
    ...(fields === undefined
      ? [expose?.toSorted() ?? null, hide.toSorted()]
      : [fields.map((field) => ('column' in field ? { ...field, column: null } : field))]),
    whereSql(resource, nameOf, JSON.stringify),
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('base64url').slice(0, 8);
}

/** By name of the resource. */
export function catalogFingerprints(resources: readonly Resource[]): Record<string, string> {
  return Object.fromEntries(resources.map((resource) => [resource.name, catalogFingerprint(resource)]));
}
