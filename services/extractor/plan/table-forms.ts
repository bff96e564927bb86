import { createHash } from 'node:crypto';
import { CatalogBehindError } from '../../../shared/catalog/catalog-behind-error.ts';
import { FIRST_USER_OID, readTableFacts, type TableFacts } from '../../../shared/catalog/table-facts.ts';
import {
  classifyFormChange,
  hasFieldColumns,
  hasSameColumns,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import type { Resource, TableName } from '../../../shared/domain/catalog.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** By resource. */
export type FactsByResource = ReadonlyMap<string, TableFacts>;
export type FormsByResource = Readonly<Record<string, TableForm>>;

/**
 * Reads the forms of an export's tables under its snapshot.
 *
 * @throws ExportFailedError when a table has rows whose changes the feed never gets
 */
export async function readRunFacts(
  session: SourceSession,
  resources: readonly Resource[],
  publicationName: string,
): Promise<FactsByResource> {
  const facts = await readTableFacts(session.client, resources, publicationName);
  for (const { name } of resources) {
    if ((facts.get(name)?.childCount ?? 0) === 0) continue;
    throw new ExportFailedError(
      'table_changed',
      `Other tables inherit from the table of ${name}, and the feed does not have their rows: the operator must run \`tandem catalog check\`.`,
    );
  }
  return facts;
}

/** @throws CatalogBehindError when a table lacks a column that the catalog's fields need */
export function assertColumnsThere(resources: readonly Resource[], facts: FactsByResource): void {
  for (const resource of resources) {
    const found = facts.get(resource.name);
    if (found !== undefined && !hasFieldColumns(resource, found)) throw new CatalogBehindError(resource.name);
  }
}

/** The forms as stored with an export, with every file. */
export function formsOf(resources: readonly Resource[], facts: FactsByResource): FormsByResource {
  return Object.fromEntries(
    resources.flatMap((resource) => {
      const found = facts.get(resource.name);
      return found === undefined ? [] : [[resource.name, formOf(resource, found)]];
    }),
  );
}

export const formOf = (resource: Resource, facts: TableFacts): TableForm =>
  toTableForm(resource, facts, Number.POSITIVE_INFINITY);

/**
 * A text that identifies the tables' columns under the session's snapshot: equal texts from one server mean equal
 * columns. Much cheaper than a description.
 */
export async function readColumnsVersion(
  session: SourceSession,
  tables: readonly TableName[],
): Promise<string> {
  const { rows } = await session.query(
    `select md5(string_agg(format('%s %s %s', attrelid::oid, attnum, xmin), ',' order by attrelid, attnum)) as version
     from pg_attribute where attrelid = any ($1::regclass[]) and attnum > 0`,
    [tables.map(quoteTable)],
  );
  return String(rows[0]?.version);
}

/**
 * A text that identifies the columns and types of an export's tables: equal texts mean equal columns of equal types.
 *
 * @returns undefined for tables with types of the product's own, whose names may change while all else stays
 */
export function describeForm(facts: FactsByResource): string | undefined {
  const described = [...facts].map(([resource, { oid, columns }]) => [resource, oid, columns] as const);
  const hasOwnTypes = described.some(([, , columns]) =>
    columns.some(({ typeOid }) => typeOid >= FIRST_USER_OID),
  );
  if (hasOwnTypes) return undefined;
  return createHash('sha256').update(JSON.stringify(described)).digest('base64');
}

/** Reads stored forms. */
export function readForms(kept: unknown): FormsByResource {
  if (typeof kept !== 'object' || kept === null) return {};
  return Object.fromEntries(
    Object.entries(kept).flatMap(([name, form]) => {
      const parsed = parseTableForm(JSON.stringify(form));
      return parsed === undefined ? [] : [[name, parsed]];
    }),
  );
}

/** @returns whether rows differ only by changes in the WAL. Columns are compared by name and type */
export async function isSameTable(
  session: SourceSession,
  before: TableForm,
  resource: Resource,
  facts: TableFacts | undefined,
): Promise<boolean> {
  if (facts === undefined || !hasSameColumns(before, resource, facts)) return false;
  return (await classifyFormChange(session.client, before, resource, facts)).kind !== 'reset';
}

/**
 * Checks labels of enums and attributes of composite types. PostgreSQL prints their current names under any snapshot, and no
 * lock protects them.
 *
 * @throws ExportFailedError when they have changed since the snapshot
 */
export async function assertSameTypes(
  session: SourceSession,
  resources: readonly Resource[],
  publicationName: string,
  forms: FormsByResource,
): Promise<void> {
  const facts = await readTableFacts(session.client, resources, publicationName);
  for (const resource of resources) {
    const [before, now] = [forms[resource.name], facts.get(resource.name)];
    if (before === undefined || now === undefined) continue;
    const change = await classifyFormChange(session.client, before, resource, now);
    if (change.kind !== 'reset' || change.reason !== 'type_changed') continue;
    throw new ExportFailedError(
      'table_changed',
      `A type of ${resource.name} was altered during the export: start the export again.`,
    );
  }
}
