import { createHash } from 'node:crypto';
import { parentOf, type Resource } from '../domain/catalog.ts';
import { whereSql } from './where-sql.ts';

/**
 * What of a resource's entry in the catalog decides which records it has, whose they are and what is in them. Two services with the
 * same fingerprint tell the same of a table. Eight characters tell any two apart that a catalog will ever have.
 */
export function catalogFingerprint(resource: Resource): string {
  const { table, key, account, softDelete, expose, hide } = resource;
  const parent = parentOf(resource);
  const facts = [
    table.schema,
    table.name,
    key,
    parent === undefined ? account : [parent.columns, catalogFingerprint(parent.parent)],
    softDelete ?? null,
    expose?.toSorted() ?? null,
    hide.toSorted(),
    whereSql(resource, (column) => column, JSON.stringify),
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('base64url').slice(0, 8);
}
